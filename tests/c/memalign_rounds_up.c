/* behaviour: memalign rounds an alignment that is no power of two up to one; above SIZE_MAX/2+1 it is NULL and EINVAL
 * source: glibc manual, "Aligned Memory Blocks"; glibc malloc.c (memalign)
 * ways: preload thread
 */
#include "check.h"
#include <malloc.h>

int main(void)
{
    for (size_t alignment = 0; alignment < 5000; alignment++) {
        size_t rounded = 16;
        while (rounded < alignment) rounded *= 2;
        void *block = memalign(number(alignment), 33);
        CHECK(block != NULL);
        CHECK((uintptr_t)block % rounded == 0);
        memset(block, 7, 33);
        free(block);
    }
    static const size_t bad[] = {SIZE_MAX / 2 + 2, SIZE_MAX / 2 + 4096, SIZE_MAX - 4096, SIZE_MAX - 1, SIZE_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_FAILS(memalign(number(bad[i]), 0), EINVAL);
        CHECK_FAILS(memalign(number(bad[i]), 10), EINVAL);
    }
    return 0;
}
