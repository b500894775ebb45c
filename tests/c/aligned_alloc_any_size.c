/* behaviour: aligned_alloc needs no size that is a multiple of the alignment
 * source: C17 DR 460; glibc manual, "Aligned Memory Blocks"
 * ways: preload thread
 */
#include "check.h"

int main(void)
{
    for (size_t alignment = 16; alignment <= 65536; alignment *= 2)
        for (size_t size = 0; size < 3 * alignment; size += alignment / 4 + 1) {
            unsigned char *block = aligned_alloc(alignment, size);
            CHECK(block != NULL && (uintptr_t)block % alignment == 0);
            fill(block, size, 9);
            CHECK(filled(block, size, 9));
            free(block);
        }
    return 0;
}
