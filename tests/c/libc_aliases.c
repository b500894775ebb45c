/* behaviour: __libc_malloc and its kin are the same allocator as malloc and its kin: blocks may cross
 * source: glibc malloc.c (exported aliases); programs that wrap malloc call them
 * ways: preload linked thread
 */
#include "check.h"
#include <malloc.h>

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t), *__libc_valloc(size_t), *__libc_pvalloc(size_t);
extern void __libc_free(void *);

int main(void)
{
    for (size_t size = 0; size < 400000; size += size / 3 + 5) {
        void *blocks[] = {__libc_malloc(size), __libc_calloc(1, size), __libc_realloc(malloc(5), size + 1),
                          __libc_memalign(128, size), __libc_valloc(size), __libc_pvalloc(size)};
        for (int i = 0; i < 6; i++) {
            CHECK(blocks[i] != NULL && malloc_usable_size(blocks[i]) >= size);
            memset(blocks[i], 1, size);
            blocks[i] = realloc(blocks[i], size + 100);
            CHECK(blocks[i] != NULL && all_bytes(blocks[i], size, 1));
            free(blocks[i]);
        }
        __libc_free(malloc(size));
        __libc_free(calloc(1, size));
        __libc_free(memalign(4096, size));
    }
    return 0;
}
