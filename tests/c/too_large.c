/* behaviour: a request above PTRDIFF_MAX is NULL with ENOMEM from every call, with every alignment, also where rounding
 *   the size up would wrap
 * source: malloc(3) ERRORS; glibc manual, "Malloc Examples" (PTRDIFF_MAX)
 * ways: preload thread
 */
#include "check.h"
#include <malloc.h>

static void each_call(size_t size)
{
    void *block = malloc(100);
    CHECK(block != NULL);
    fill(block, 100, 1);
    CHECK_FAILS(malloc(number(size)), ENOMEM);
    CHECK_FAILS(calloc(number(size), 1), ENOMEM);
    CHECK_FAILS(calloc(1, number(size)), ENOMEM);
    CHECK_FAILS(realloc(opaque(NULL), number(size)), ENOMEM);
    CHECK_FAILS(realloc(opaque(block), number(size)), ENOMEM);
    CHECK_FAILS(reallocarray(opaque(NULL), number(size), 1), ENOMEM);
    CHECK_FAILS(reallocarray(opaque(block), 1, number(size)), ENOMEM);
    CHECK_FAILS(valloc(number(size)), ENOMEM);
    CHECK_FAILS(pvalloc(number(size)), ENOMEM);
    for (unsigned bit = 4; bit < 63; bit++) {
        size_t alignment = (size_t)1 << bit;
        void *kept = block;
        CHECK_FAILS(memalign(number(alignment), number(size)), ENOMEM);
        CHECK_FAILS(aligned_alloc(number(alignment), number(size)), ENOMEM);
        CHECK_EQ(posix_memalign(&kept, number(alignment), number(size)), ENOMEM);
        CHECK(kept == block);
    }
    CHECK(filled(block, 100, 1));
    free(block);
}

int main(void)
{
    for (size_t under = 0; under <= 16384; under += under < 64 ? 1 : 509) each_call(SIZE_MAX - under);
    for (size_t over = 1; over <= 70000; over += over < 64 ? 1 : 4099) each_call((size_t)PTRDIFF_MAX + over);
    return 0;
}
