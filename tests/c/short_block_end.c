/* behaviour: 32 bytes can be loaded from the start of any short block without meeting a page that was never touched
 * source: docs/ARCHITECTURE.md; AVX-512 masked loads (memcmp, strcmp of short strings) take a microcode assist of some
 *         hundred cycles each time when their masked-out part lies on an absent page
 * ways: preload thread
 */
#include "check.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

enum { SIZES = 4, BLOCKS = 3000, LOAD = 32, SLICE = 65536 };

static bool resident(uintptr_t at)
{
    unsigned char there = 0;
    return mincore((void *)(at & ~(uintptr_t)4095), 1, &there) == 0 && (there & 1);
}

int main(void)
{
    static const size_t sizes[SIZES] = {8, 24, 40, 56};
    for (int s = 0; s < SIZES; s++) {
        int absent = 0, at_slice_ends = 0;
        for (int i = 0; i < BLOCKS; i++) {
            char *block = malloc(sizes[s]);
            CHECK(block != NULL);
            block[0] = 'x';
            uintptr_t last = (uintptr_t)block + LOAD - 1;
            if (!resident(last)) {
                /* The last block of a 64 KiB slice has what comes behind the slice as its neighbour, used or not. */
                if (last / SLICE != (uintptr_t)block / SLICE) at_slice_ends++;
                else absent++;
            }
        }
        CHECK(absent == 0);
        CHECK(at_slice_ends <= BLOCKS * 64 / SLICE + 1);
    }
    return 0;
}
