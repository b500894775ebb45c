/* behaviour: aligned_alloc takes every power of two, with any size; 0 and other alignments are NULL and EINVAL
 * source: C23 7.24.3.1; glibc 2.38 NEWS (aligned_alloc)
 * glibc: differs (2.36 rounds a bad alignment up, as memalign does; the rule is glibc 2.38's)
 * ways: preload thread
 */
#include "check.h"

int main(void)
{
    static const size_t bad[] = {0, 3, 5, 6, 7, 12, 24, 48, 0x300, 4095, SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 2 + 2};
    for (size_t alignment = 1; alignment <= 1 << 22; alignment *= 2) {
        static const size_t sizes[] = {0, 1, 7, 33, 1000, 4097, 70001};
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            void *block = aligned_alloc(number(alignment), sizes[i]);
            CHECK(block != NULL && (uintptr_t)block % alignment == 0);
            memset(block, 1, sizes[i]);
            free(block);
        }
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_FAILS(aligned_alloc(number(bad[i]), 16), EINVAL);
        CHECK_FAILS(aligned_alloc(number(bad[i]), number(SIZE_MAX)), EINVAL);
    }
    return 0;
}
