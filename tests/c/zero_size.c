/* behaviour: a request for 0 bytes gives a block of its own, freeable, with a usable size above 0
 * source: malloc(3), posix_memalign(3); glibc manual, "Basic Allocation"
 * ways: preload linked thread
 */
#include "check.h"
#include <malloc.h>

int main(void)
{
    void *blocks[64];
    int count = 0;
    for (int round = 0; round < 6; round++) {
        blocks[count++] = malloc(number(0));
        blocks[count++] = calloc(number(0), 8);
        blocks[count++] = calloc(8, number(0));
        blocks[count++] = calloc(number(0), number(SIZE_MAX));
        blocks[count++] = calloc(number(SIZE_MAX), number(0));
        blocks[count++] = realloc(opaque(NULL), number(0));
        blocks[count++] = reallocarray(opaque(NULL), number(0), 8);
        blocks[count++] = memalign(64, number(0));
        blocks[count++] = valloc(number(0));
        CHECK_EQ(posix_memalign(&blocks[count++], 8, number(0)), 0);
    }
    for (int i = 0; i < count; i++) {
        CHECK(blocks[i] != NULL);
        CHECK(malloc_usable_size(blocks[i]) > 0);
        for (int j = 0; j < i; j++) CHECK(blocks[i] != blocks[j]);
    }
    void *whole_page = pvalloc(number(0));
    CHECK(whole_page != NULL && malloc_usable_size(whole_page) > 0);
    free(whole_page);
    void *aligned = aligned_alloc(256, number(0));
    CHECK(aligned != NULL && (uintptr_t)aligned % 256 == 0);
    free(aligned);
    for (int i = 0; i < count; i++) free(blocks[i]);
    return 0;
}
