/* behaviour: brkmap_ctl answers 0, ENOENT, EINVAL and EPERM as the header says, tells the size that a value has, does
 *   nothing where it answers an error, and leaves errno alone
 * source: brkmap.h
 * glibc: exempt (functions of brkmap's own)
 * ways: preload linked
 */
#include "api.h"

static int get(const char *name, size_t room)
{
    uint64_t value = 0x5555;
    size_t length = room;
    int error = ctl(name, &value, &length, NULL, 0);
    if (error) CHECK_EQ(value, 0x5555);
    return error;
}

static int set(const char *name, uint64_t value)
{
    return ctl(name, NULL, NULL, &value, sizeof value);
}

int main(void)
{
    free(malloc(1));
    errno = 77;
    /* Names. */
    static const char *const unknown[] = {"", "stats", "stats.", "stats.nothing", "stats.allocated.", "stats.allocatedx", " version",
        "stats.class.size", "stats.class..size", "stats.class.x.size", "stats.class.-1.size", "stats.class.0.sizes",
        "stats.class.99999.size", "stats.class.99999999999999999999999.size", "stats.heap.100000.live", "stats.calls.fork",
        "stats.counters.", "opt.", "opt.thresholds", "stats.<figure>", "stats.class.<i>.size", "stats.calls.<call>"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        if (get(unknown[i], 8) != ENOENT) check_failed(__FILE__, __LINE__, "is unknown: ", unknown[i]);
        CHECK_EQ(set(unknown[i], 1), ENOENT);
    }
    CHECK_EQ(ctl(NULL, NULL, NULL, NULL, 0), EINVAL);

    /* Sizes: too small, too large, asked for. */
    CHECK_EQ(get("stats.allocated", 4), EINVAL);
    CHECK_EQ(get("stats.allocated", 16), EINVAL);
    CHECK_EQ(get("stats.is_estimated", 8), EINVAL);
    CHECK_EQ(get("version", 4), EINVAL);
    size_t length = 4;
    uint64_t value;
    CHECK_EQ(ctl("stats.allocated", &value, &length, NULL, 0), EINVAL);
    CHECK_EQ(length, 8);
    CHECK_EQ(ctl("stats.is_estimated", NULL, &length, NULL, 0), 0);
    CHECK_EQ(length, sizeof(_Bool));
    CHECK_EQ(ctl("version", NULL, &length, NULL, 0), 0);
    CHECK_EQ(length, sizeof(char *));
    CHECK_EQ(ctl("stats.allocated", &value, NULL, NULL, 0), EINVAL);
    CHECK_EQ(ctl("stats.allocated", NULL, NULL, NULL, 0), 0);
    CHECK_EQ(ctl("opt.top_pad", NULL, NULL, NULL, 8), EINVAL);
    CHECK_EQ(ctl("opt.top_pad", NULL, NULL, &value, 4), EINVAL);

    /* What cannot be set. */
    static const char *const fixed[] = {"version", "names", "opt.use", "stats.allocated", "stats.class.0.live", "stats.heap.0.live",
        "stats.calls.brk", "stats.counters.purge", "stats.classes", "stats.is_estimated"};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) CHECK_EQ(set(fixed[i], 1), EPERM);

    /* Values that a name cannot have change nothing. */
    const char *word = "sometimes";
    CHECK_EQ(ctl("opt.background", NULL, NULL, &word, sizeof word), EINVAL);
    word = NULL;
    CHECK_EQ(ctl("opt.background", NULL, NULL, &word, sizeof word), EINVAL);
    length = sizeof word;
    CHECK_EQ(ctl("opt.background", &word, &length, NULL, 0), 0);
    CHECK_EQ(strcmp(word, "auto"), 0);
    CHECK_EQ(set("opt.perturb", 256), EINVAL);
    CHECK_EQ(number_of("opt.perturb"), 0);
    CHECK_EQ(set("opt.arena_max", 0), EINVAL);
    CHECK_EQ(number_of("opt.arena_max"), UINT64_MAX);
    CHECK_EQ(set("opt.purge_delay_ms", 3600001), EINVAL);
    CHECK_EQ(number_of("opt.purge_delay_ms"), UINT64_MAX);

    /* trim with wrong arguments does nothing. */
    char *block = malloc(1 << 20);
    CHECK(block != NULL);
    memset(block, 1, 1 << 20);
    free(block);
    uint64_t returned = number_of("stats.counters.purge_bytes");
    CHECK_EQ(get("trim", 4), EINVAL);
    CHECK_EQ(ctl("trim", NULL, NULL, &value, 4), EINVAL);
    CHECK_EQ(number_of("stats.counters.purge_bytes"), returned);
    CHECK_EQ(errno, 77);
    return 0;
}
