/* behaviour: options that brkmap_ctl sets are in force at the next call, and are read back; what is set by mallopt is read,
 *   too; `trim` does what malloc_trim does and says whether memory went
 * source: brkmap.h; mallopt(3), malloc_trim(3)
 * glibc: exempt (functions of brkmap's own)
 * ways: preload linked
 */
#include "api.h"

static uint64_t swap(const char *name, uint64_t value)
{
    uint64_t old = 0;
    size_t length = sizeof old;
    CHECK_EQ(ctl(name, &old, &length, &value, sizeof value), 0);
    CHECK_EQ(number_of(name), value);
    return old;
}

int main(void)
{
    const char *word = NULL;
    size_t length = sizeof word;
    CHECK_EQ(ctl("version", &word, &length, NULL, 0), 0);
    CHECK(word[0] >= '0' && word[0] <= '9' && strchr(word, '.'));
    uint64_t epoch = number_of("epoch");
    CHECK_EQ(ctl("epoch", NULL, NULL, &epoch, sizeof epoch), 0);
    CHECK_EQ(number_of("epoch"), epoch + 1);

    /* The threshold decides what gets a mapping. */
    CHECK_EQ(swap("opt.mmap_threshold", 1 << 20), 128 << 10);
    uint64_t direct = figures().direct;
    void *below = malloc(900000), *above = malloc(1 << 20);
    CHECK(below && above);
    CHECK_EQ(figures().direct, direct + 1);
    CHECK_EQ(mallopt(M_MMAP_THRESHOLD, 300000), 1);
    CHECK_EQ(number_of("opt.mmap_threshold"), 300000);
    CHECK_EQ(number_of("stats.mmap_threshold"), 300000);
    swap("opt.mmap_max", 1);
    void *heap = malloc(1 << 20);
    CHECK(heap);
    CHECK_EQ(figures().direct, direct + 1);
    CHECK_EQ(swap("opt.top_pad", 1 << 20), 128 << 10);
    CHECK_EQ(swap("opt.trim_threshold", 5 << 20), 128 << 10);
    CHECK_EQ(swap("opt.arena_max", 3), UINT64_MAX);
    CHECK_EQ(swap("opt.purge_delay_ms", 3600000), UINT64_MAX);

    /* A limit refuses what is beyond it, until it is taken away. */
    CHECK_EQ(swap("opt.limit", 64 * MIB), UINT64_MAX);
    CHECK_FAILS(malloc(100 * MIB), ENOMEM);
    CHECK_EQ(ctl("opt.limit", NULL, NULL, &(uint64_t){UINT64_MAX}, 8), 0);
    void *huge = malloc(100 * MIB);
    CHECK(huge != NULL);
    free(huge);

    /* Fill bytes. */
    swap("opt.perturb", 0x5a);
    unsigned char *fresh = malloc(100000);
    CHECK(fresh && fresh[0] == 0xa5 && fresh[99999] == 0xa5);
    swap("opt.perturb", 0);

    /* The helper: on, off, auto, read back as words. */
    static const char *const words[] = {"on", "off", "auto", "off"};
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(ctl("opt.background", NULL, NULL, &words[i], sizeof words[i]), 0);
        length = sizeof word;
        CHECK_EQ(ctl("opt.background", &word, &length, NULL, 0), 0);
        CHECK_EQ(strcmp(word, words[i]), 0);
    }

    /* Trim: something goes, then nothing. */
    static void *blocks[20000];
    for (int i = 0; i < 20000; i++) CHECK((blocks[i] = malloc(1000)) && memset(blocks[i], 1, 1000));
    for (int i = 0; i < 20000; i++) free(blocks[i]);
    uint64_t resident = figures().resident, went = 0, pad = 0;
    length = sizeof went;
    CHECK_EQ(ctl("trim", &went, &length, &pad, sizeof pad), 0);
    CHECK_EQ(went, 1);
    CHECK(figures().resident < resident - 15 * MIB);
    CHECK_EQ(ctl("trim", NULL, NULL, NULL, 0), 0);
    length = sizeof went;
    CHECK_EQ(ctl("trim", &went, &length, NULL, 0), 0);
    CHECK_EQ(went, 0);
    return 0;
}
