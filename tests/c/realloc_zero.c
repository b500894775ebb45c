/* behaviour: realloc(p, 0) and reallocarray(p, 0, n) free the block and return NULL
 * source: glibc manual, "Changing the Size of a Block"; realloc(3)
 * ways: preload thread
 */
#include "check.h"
#include <malloc.h>

int main(void)
{
    static const size_t sizes[] = {1, 100, 5000, 50000, 200000, 2000000};
    for (int round = 0; round < 300; round++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            CHECK(realloc(opaque(malloc(sizes[i])), number(0)) == NULL);
            CHECK(reallocarray(opaque(malloc(sizes[i])), number(0), 10) == NULL);
            CHECK(reallocarray(opaque(malloc(sizes[i])), 10, number(0)) == NULL);
        }
    /* Freed, not leaked: 300 rounds of 2.25 MB three times over would be 2 GB. */
    struct mallinfo2 info = mallinfo2();
    CHECK(info.uordblks + info.hblkhd < 64 << 20);
    return 0;
}
