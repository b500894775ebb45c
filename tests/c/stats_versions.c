/* behaviour: brkmap_stats_get fills as much as the caller has and the library knows, says how much, and touches nothing
 *   behind it; without room for the head, or without a structure, it answers EINVAL
 * source: brkmap.h
 * glibc: exempt (functions of brkmap's own)
 * ways: preload linked
 */
#include "api.h"

int main(void)
{
    static union {
        struct brkmap_stats stats;
        unsigned char bytes[4096];
    } room;
    void *block = malloc(100000);
    CHECK(block != NULL);
    struct brkmap_stats whole = figures();
    CHECK(whole.allocated > 100000);
    errno = 77;
    for (size_t size = 0; size <= sizeof room; size += 4) {
        memset(&room, 0xee, sizeof room);
        room.stats.size = size;
        int error = stats_get(&room.stats);
        if (size < 16) {
            CHECK_EQ(error, EINVAL);
            CHECK_EQ(room.stats.size, size);
            CHECK(all_bytes(room.bytes + sizeof size, sizeof room - sizeof size, 0xee));
            continue;
        }
        size_t filled = size < sizeof whole ? size : sizeof whole;
        CHECK_EQ(error, 0);
        CHECK_EQ(room.stats.size, filled);
        CHECK_EQ(room.stats.version, BRKMAP_STATS_VERSION);
        CHECK(all_bytes(room.bytes + filled, sizeof room - filled, 0xee));
        if (filled >= offsetof(struct brkmap_stats, active)) CHECK_EQ(room.stats.allocated, whole.allocated);
    }
    CHECK_EQ(stats_get(NULL), EINVAL);
    CHECK_EQ(errno, 77);
    struct brkmap_stats fresh = BRKMAP_STATS_INIT;
    CHECK_EQ(fresh.size, sizeof fresh);
    CHECK(all_bytes((unsigned char *)&fresh + sizeof fresh.size, sizeof fresh - sizeof fresh.size, 0));
    free(block);
    return 0;
}
