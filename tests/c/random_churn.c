/* behaviour: random malloc, calloc, realloc, aligned and free keep every block's contents
 * source: malloc(3), realloc(3), posix_memalign(3)
 * timeout: 60
 * ways: preload linked thread
 */
#include "check.h"
#include <malloc.h>

#define SLOTS 2000
static struct { unsigned char *block; size_t size; unsigned seed; } slots[SLOTS];

static unsigned long long state = 88172645463325252ull;
static unsigned next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 16);
}

static size_t some_size(void)
{
    unsigned kind = next() % 100;
    if (kind < 70) return next() % 300;
    if (kind < 90) return next() % 9000;
    if (kind < 98) return next() % 80000;
    return next() % 700000;
}

int main(void)
{
    for (unsigned turn = 0; turn < 400000; turn++) {
        unsigned slot = next() % SLOTS;
        size_t size = some_size();
        unsigned char *block = slots[slot].block;
        size_t look = slots[slot].size < 600 ? slots[slot].size : 600;
        if (block) CHECK(filled(block, look, slots[slot].seed));
        if (block && next() % 3 == 0 && size) {
            size_t keep = look < size ? look : size;
            block = realloc(block, size);
            CHECK(block != NULL && filled(block, keep, slots[slot].seed));
        } else {
            free(block);
            unsigned kind = next() % 8;
            block = kind == 0 ? calloc(1, size) : kind == 1 ? memalign((size_t)16 << next() % 10, size) : malloc(size);
            CHECK(block != NULL);
            if (kind == 0) CHECK(all_bytes(block, size < 600 ? size : 600, 0));
        }
        CHECK(malloc_usable_size(block) >= size && (uintptr_t)block % 16 == 0);
        slots[slot].block = block;
        slots[slot].size = size;
        slots[slot].seed = turn;
        fill(block, size < 600 ? size : 600, turn);
        if (size) block[size - 1] = size <= 600 ? block[size - 1] : 1;
    }
    for (unsigned slot = 0; slot < SLOTS; slot++) free(slots[slot].block);
    return 0;
}
