/* behaviour: under a small RLIMIT_DATA, which bounds the break and private mappings, requests end in NULL with ENOMEM and
 *   work again after frees
 * source: setrlimit(2) RLIMIT_DATA (brk, sbrk and, since Linux 4.7, mmap)
 */
#include "seccomp.h"
#include <sys/resource.h>

int main(void)
{
    struct rlimit limit = {12 << 20, 12 << 20};
    unsigned char *old = malloc(70000);
    CHECK(old != NULL);
    fill(old, 70000, 1);
    CHECK_EQ(setrlimit(RLIMIT_DATA, &limit), 0);
    for (int round = 0; round < 5; round++) {
        void **chain = NULL, **block;
        size_t bytes = 0, size;
        for (unsigned i = 0; errno = 0, size = 100 + i % 7000 + (i % 50 == 0) * 150000, (block = malloc(size)); i++) {
            *block = chain;
            chain = block;
            bytes += size;
        }
        CHECK_EQ(errno, ENOMEM);
        CHECK(bytes > 2 << 20);
        CHECK_FAILS(calloc(1, number(20 << 20)), ENOMEM);
        CHECK_FAILS(realloc(opaque(old), number(20 << 20)), ENOMEM);
        CHECK(filled(old, 70000, 1));
        while (chain) {
            block = *chain;
            free(chain);
            chain = block;
        }
        exercise(NULL);
    }
    free(old);
    return 0;
}
