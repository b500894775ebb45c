/* behaviour: realloc to the usable size of a block does not move it
 * source: glibc 2.43 NEWS (realloc within the usable size)
 * glibc: differs (2.36 moves mapped blocks)
 * ways: preload thread
 */
#include "check.h"
#include <malloc.h>

int main(void)
{
    for (size_t size = 0; size < 3000000; size += size / 11 + 3) {
        unsigned char *block = malloc(size);
        CHECK(block != NULL);
        size_t usable = malloc_usable_size(block);
        fill(block, usable < 5000 ? usable : 5000, 2);
        uintptr_t before = (uintptr_t)block;
        block = realloc(block, usable);
        CHECK((uintptr_t)block == before);
        CHECK_EQ(malloc_usable_size(block), usable);
        CHECK(filled(block, usable < 5000 ? usable : 5000, 2));
        free(block);
    }
    return 0;
}
