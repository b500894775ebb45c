/* behaviour: success never changes errno; neither does realloc(p, 0)
 * source: errno(3); POSIX 2024 on free(); glibc manual
 * ways: preload thread
 */
#include "check.h"
#include <malloc.h>

#define QUIET(call)                                                                                               \
    do {                                                                                                          \
        errno = 4321;                                                                                             \
        (void)(call);                                                                                             \
        CHECK_EQ(errno, 4321);                                                                                    \
    } while (0)

int main(void)
{
    static const size_t sizes[] = {0, 1, 24, 100, 1000, 5000, 20000, 100000, 131072, 300000, 5000000, 50000000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *a, *b, *c = NULL, *d, *e, *f, *g, *gone;
        QUIET(a = malloc(sizes[i]));
        QUIET(b = calloc(sizes[i], 1));
        QUIET(posix_memalign(&c, 4096, sizes[i]));
        QUIET(d = memalign(1 << 20, sizes[i]));
        QUIET(e = aligned_alloc(64, sizes[i]));
        QUIET(f = valloc(sizes[i]));
        QUIET(g = pvalloc(sizes[i]));
        CHECK(a && b && c && d && e && f && g);
        QUIET(malloc_usable_size(a));
        QUIET(a = realloc(a, sizes[i] * 2 + 1));
        QUIET(a = realloc(a, sizes[i] / 2 + 1));
        CHECK(a);
        QUIET(gone = realloc(b, number(0)));
        CHECK(gone == NULL);
        QUIET(free(a));
        QUIET(free(c));
        QUIET(free(d));
        QUIET(free(e));
        QUIET(free(f));
        QUIET(free(g));
    }
    QUIET(free(NULL));
    QUIET(malloc_trim(0));
    return 0;
}
