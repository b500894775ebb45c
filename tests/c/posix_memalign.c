/* behaviour: posix_memalign returns its code and, on failure, leaves *memptr alone; alignments that are no power of two or
 *   no multiple of sizeof(void *) are EINVAL with errno untouched, as it is on success
 * source: posix_memalign(3); POSIX posix_memalign()
 * ways: preload thread
 */
#include "check.h"

int main(void)
{
    static const size_t bad[] = {0, 1, 2, 4, 3, 12, 24, 48, 0x300, 4095, SIZE_MAX, SIZE_MAX - 7, (size_t)1 << 63 | 8};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        void *kept = &kept;
        errno = 4321;
        CHECK_EQ(posix_memalign(&kept, number(bad[i]), 64), EINVAL);
        CHECK_EQ(posix_memalign(&kept, number(bad[i]), number(SIZE_MAX)), EINVAL);
        CHECK(kept == &kept);
        CHECK_EQ(errno, 4321);
    }
    for (size_t alignment = sizeof(void *); alignment <= 1 << 22; alignment *= 2) {
        void *block = NULL, *kept = &kept;
        errno = 4321;
        CHECK_EQ(posix_memalign(&block, alignment, 200), 0);
        CHECK(block != NULL && (uintptr_t)block % alignment == 0);
        CHECK_EQ(errno, 4321);
        CHECK_EQ(posix_memalign(&kept, alignment, number(SIZE_MAX)), ENOMEM);
        CHECK_EQ(posix_memalign(&kept, alignment, number(SIZE_MAX - alignment)), ENOMEM);
        CHECK(kept == &kept);
        memset(block, 1, 200);
        free(block);
    }
    return 0;
}
