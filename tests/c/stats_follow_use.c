/* behaviour: the figures follow use: what is allocated, freed and given back moves allocated, active, retained, returnable,
 *   pinned and resident by as much, and the equations hold at each step
 * source: brkmap.h, docs/STATISTICS.md
 * glibc: exempt (functions of brkmap's own)
 * ways: preload linked thread
 * env: BRKMAP_BACKGROUND=off BRKMAP_PURGE_DELAY_MS=3600000 BRKMAP_THP=off
 */
#include "api.h"

/* In a thread another one has a block of at most 300 bytes now and then. */
#define COUNT (100 * 1024)
static char *blocks[COUNT];

static void near(uint64_t value, long long wanted, long long slack)
{
    if ((long long)value < wanted - slack || (long long)value > wanted + slack) CHECK_EQ(value, wanted);
}

int main(void)
{
    free(malloc(1));
    struct brkmap_stats start = figures();
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = malloc(1024);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], 1, 1024);
    }
    struct brkmap_stats full = figures();
    near(full.allocated - start.allocated, 100 * MIB, 1024);
    near(full.live_blocks - start.live_blocks, COUNT, 1);
    near(full.active - start.active, 100 * MIB, 64 << 10);
    near(full.resident_allocated - start.resident_allocated, 100 * MIB, 64 << 10);
    CHECK(full.mapped - start.mapped >= 100 * MIB);
    CHECK(full.brk_calls + full.mmap_calls > start.brk_calls + start.mmap_calls);

    /* Three of the four blocks of each OS page: nothing of it can go, all of it is pinned. */
    for (int i = 0; i < COUNT; i++)
        if ((uintptr_t)blocks[i] % 4096 >= 1024) free(blocks[i]), blocks[i] = NULL;
    struct brkmap_stats sparse = figures();
    near(full.allocated - sparse.allocated, 75 * MIB, MIB);
    near(sparse.active, full.active, MIB);
    near(sparse.pinned + sparse.resident_thread_cache, 75 * MIB + full.pinned + full.resident_thread_cache, MIB);
    near(sparse.resident, full.resident, MIB);
    CHECK_EQ(sparse.mapped, full.mapped);

    /* The rest: all of it is retained, and returnable. */
    for (int i = 0; i < COUNT; i++) free(blocks[i]);
    struct brkmap_stats empty = figures();
    near(empty.allocated, start.allocated, 1024);
    near(empty.live_blocks, start.live_blocks, 1);
    near(empty.active, start.active, MIB);
    near(empty.retained - start.retained, 100 * MIB, 32 * MIB);
    near(empty.returnable + empty.resident_thread_cache, 100 * MIB, 2 * MIB);
    near(empty.resident, full.resident, MIB);

    /* Given back: none of it is in memory. */
    malloc_trim(0);
    struct brkmap_stats given = figures();
    near(given.allocated, start.allocated, 1024);
    CHECK(given.resident < start.resident + 2 * MIB);
    CHECK(given.returnable < MIB);
    CHECK(given.madvise_calls + given.brk_calls > empty.madvise_calls + empty.brk_calls);

    /* A block of its own: its mapping comes and goes, of which nothing is in memory before it is touched. */
    char *large = malloc(300 * MIB);
    CHECK(large != NULL);
    struct brkmap_stats mapped = figures();
    CHECK_EQ(mapped.direct, given.direct + 1);
    CHECK(mapped.direct_bytes - given.direct_bytes >= (uint64_t)(300 * MIB));
    near(mapped.allocated - given.allocated, mapped.direct_bytes - given.direct_bytes, 1024);
    CHECK(mapped.resident < given.resident + MIB);
    memset(large, 1, 8 << 20);
    struct brkmap_stats touched = figures();
    near(touched.resident_allocated - mapped.resident_allocated, 8 * MIB, 2 * MIB);
    free(large);
    struct brkmap_stats gone = figures();
    CHECK_EQ(gone.direct_bytes, given.direct_bytes);
    CHECK_EQ(gone.munmap_calls, touched.munmap_calls + 1);
    CHECK(gone.direct_peak_bytes >= (uint64_t)(300 * MIB));
    return 0;
}
