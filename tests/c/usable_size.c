/* behaviour: malloc_usable_size is at least the request, does not change while the block lives, and all of it may be
 *   written
 * source: malloc_usable_size(3)
 * ways: preload thread
 */
#include "check.h"
#include <malloc.h>

#define COUNT 300

int main(void)
{
    unsigned char *blocks[COUNT];
    size_t usable[COUNT];
    for (int round = 0; round < 3; round++) {
        for (unsigned i = 0; i < COUNT; i++) {
            size_t size = i < 150 ? i * 13 : (size_t)i * i * (round + 1);
            blocks[i] = i % 3 == 0 ? malloc(size) : i % 3 == 1 ? calloc(1, size) : memalign(256, size);
            CHECK(blocks[i] != NULL);
            usable[i] = malloc_usable_size(blocks[i]);
            CHECK(usable[i] >= size);
            fill(blocks[i], usable[i], i);
        }
        for (unsigned i = 0; i < COUNT; i++) {
            CHECK_EQ(malloc_usable_size(blocks[i]), usable[i]);
            CHECK(filled(blocks[i], usable[i], i));
        }
        for (unsigned i = 0; i < COUNT; i++) free(blocks[i]);
    }
    return 0;
}
