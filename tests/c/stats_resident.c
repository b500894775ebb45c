/* behaviour: resident is true: it moves as the kernel's own count of the process's anonymous memory does, when memory is
 *   touched, partly freed, given back in the middle, and used again; it never counts what was not touched
 * source: brkmap.h; proc(5), /proc/PID/smaps
 * glibc: exempt (functions of brkmap's own)
 * ways: preload linked
 * env: BRKMAP_BACKGROUND=off BRKMAP_PURGE_DELAY_MS=3600000 BRKMAP_THP=off
 */
/* Without huge pages: those of their OS pages that hold zeros when one is split become the kernel's shared page of zeros, which
 * mincore(2) counts and smaps does not. */
#include "api.h"

#define COUNT 60000
static char *blocks[COUNT];
static long long first_rss, first_resident;

/* Of the two counts since the start: nothing else in the process changes but for a few OS pages of the stack. */
static void agree(int line)
{
    long long resident = (long long)figures().resident - first_resident;
    long long rss = smaps_sum("Anonymous:") - first_rss;
    if (resident > rss + (128 << 10) || resident < rss - (128 << 10)) {
        char text[80];
        snprintf(text, sizeof text, "%lld and %lld", resident, rss);
        check_failed(__FILE__, line, "resident and smaps agree: ", text);
    }
}
#define AGREE() agree(__LINE__)

int main(void)
{
    memset(blocks, 0xff, sizeof blocks);
    memset(blocks, 0, sizeof blocks);
    free(malloc(1));
    figures();
    smaps_sum("Anonymous:");
    first_resident = figures().resident;
    first_rss = smaps_sum("Anonymous:");
    AGREE();
    unsigned seed = 1;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++) {
            seed = seed * 1664525 + 1013904223;
            size_t size = 16 + (seed >> 8) % (i % 50 == 0 ? 100000 : 2000);
            if (blocks[i]) continue;
            blocks[i] = malloc(size);
            CHECK(blocks[i] != NULL);
            /* A third stays untouched. */
            if (seed >> 30) memset(blocks[i], 1, size);
        }
        AGREE();
        for (int i = 0; i < COUNT; i++)
            if ((seed = seed * 1664525 + 1013904223) >> 28) free(blocks[i]), blocks[i] = NULL;
        AGREE();
        malloc_trim(0);
        AGREE();
    }
    char *large = malloc(64 * MIB);
    CHECK(large != NULL);
    AGREE();
    memset(large + 16 * MIB, 1, 16 * MIB);
    AGREE();
    large = realloc(large, 256 * MIB);
    CHECK(large != NULL);
    AGREE();
    free(large);
    AGREE();
    /* And as a whole: what is in memory of the heap is a part of what is in memory of the process. */
    CHECK((long long)figures().resident <= smaps_sum("Rss:"));
    CHECK((long long)figures().resident > smaps_sum("Anonymous:") / 2);
    return 0;
}
