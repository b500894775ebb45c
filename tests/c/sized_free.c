/* behaviour: free_sized and free_aligned_sized free a block given its request, and do nothing for NULL
 * source: C23 7.24.3.4, 7.24.3.5
 * glibc: exempt (glibc 2.36 has neither; they came with 2.43)
 * ways: preload thread
 */
#include "check.h"
#include <malloc.h>

int main(void)
{
    void (*free_sized_)(void *, size_t) = dlsym(RTLD_DEFAULT, "free_sized");
    void (*free_aligned_sized_)(void *, size_t, size_t) = dlsym(RTLD_DEFAULT, "free_aligned_sized");
    CHECK(free_sized_ && free_aligned_sized_);
    errno = 4321;
    free_sized_(NULL, 0);
    free_sized_(NULL, 100);
    free_aligned_sized_(NULL, 64, 100);
    for (size_t size = 0; size < 600000; size += size / 9 + 1) {
        free_sized_(malloc(size), size);
        free_sized_(calloc(1, size), size);
        if (size) free_sized_(realloc(malloc(7), size), size);
        for (size_t alignment = 1; alignment <= 65536; alignment *= 4)
            free_aligned_sized_(aligned_alloc(alignment, size), alignment, size);
    }
    CHECK_EQ(errno, 4321);
    struct mallinfo2 info = mallinfo2();
    CHECK(info.uordblks + info.hblkhd < 8 << 20);
    return 0;
}
