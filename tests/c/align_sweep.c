/* behaviour: aligned blocks of all sizes and alignments to 4 MiB live side by side, keep their contents, and are freed and
 *   resized in any order
 * source: posix_memalign(3), realloc(3)
 * ways: preload thread
 * timeout: 60
 */
#include "check.h"
#include <malloc.h>

#define SLOTS 600

int main(void)
{
    struct { unsigned char *block; size_t size; } slots[SLOTS] = {{NULL, 0}};
    unsigned seed = 3;
    for (int turn = 0; turn < 60000; turn++) {
        seed = seed * 1664525 + 1013904223;
        unsigned at = (seed >> 7) % SLOTS, bits = 4 + (seed >> 24) % (turn % 64 ? 10 : 19);
        size_t alignment = (size_t)1 << bits, size = (seed >> 4) % (turn % 32 ? 3000 : 100000), look;
        look = slots[at].size < 80 ? slots[at].size : 80;
        if (slots[at].block) CHECK(filled(slots[at].block, look, at));
        if (slots[at].block && turn % 7 == 0) {
            slots[at].block = realloc(slots[at].block, size + 1);
            CHECK(slots[at].block && filled(slots[at].block, look < size ? look : size, at));
            slots[at].size = size + 1;
        } else {
            free(slots[at].block);
            slots[at].block = memalign(alignment, size);
            CHECK(slots[at].block && (uintptr_t)slots[at].block % alignment == 0);
            CHECK(malloc_usable_size(slots[at].block) >= size);
            slots[at].size = size;
        }
        fill(slots[at].block, slots[at].size < 80 ? slots[at].size : 80, at);
        if (slots[at].size > 80) slots[at].block[slots[at].size - 1] = 1;
    }
    for (int i = 0; i < SLOTS; i++) free(slots[i].block);
    return 0;
}
