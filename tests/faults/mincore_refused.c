/* behaviour: where the kernel does not say what is in memory, the figures say so, and give a bound from the books: the equations
 *   hold, and it is no less than what the kernel said before
 * source: brkmap.h, BRKMAP_STATS_ESTIMATED
 * glibc: exempt (functions of brkmap's own)
 * env: BRKMAP_BACKGROUND=off BRKMAP_PURGE_DELAY_MS=3600000
 */
#include "../c/api.h"
#include "seccomp.h"

#define COUNT 20000
static char *blocks[COUNT];

int main(void)
{
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = malloc(16 + i % 3000);
        CHECK(blocks[i] != NULL);
        if (i % 3) memset(blocks[i], 1, 16 + i % 3000);
    }
    for (int i = 0; i < COUNT; i++)
        if (i % 11 < 5 || i < 8000) free(blocks[i]), blocks[i] = NULL;
    malloc_trim(0);
    struct brkmap_stats told = figures();
    int call = SYS_mincore;
    refuse(&call, 1, ENOSYS);
    struct brkmap_stats guessed = BRKMAP_STATS_INIT;
    CHECK_EQ(stats_get(&guessed), 0);
    CHECK_EQ(guessed.flags, BRKMAP_STATS_ESTIMATED);
    CHECK_EQ(guessed.allocated, told.allocated);
    CHECK_EQ(guessed.active, told.active);
    CHECK_EQ(guessed.mapped, told.mapped);
    CHECK_EQ(guessed.retained, told.retained);
    CHECK_EQ(guessed.resident, guessed.resident_allocated + guessed.resident_thread_cache + guessed.pinned +
                                   guessed.returnable + guessed.resident_metadata);
    CHECK(guessed.resident >= told.resident);
    CHECK(guessed.resident <= guessed.mapped);
    /* What went back is known to the books: the bound is near. */
    CHECK(guessed.resident < told.resident + 3 * MIB);
    _Bool estimated = 0;
    size_t length = sizeof estimated;
    CHECK_EQ(ctl("stats.is_estimated", &estimated, &length, NULL, 0), 0);
    CHECK(estimated);
    CHECK(number_of("stats.refused.mincore") > 0);
    for (int i = 0; i < COUNT; i++) free(blocks[i]);
    return 0;
}
