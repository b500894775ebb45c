/* behaviour: every name on brkmap_ctl's list is known and has a value of one size; every field of the structure has a name,
 *   with the same value; the rows of classes and heaps sum to what the figures say
 * source: brkmap.h
 * glibc: exempt (functions of brkmap's own)
 * ways: preload linked
 */
#include "api.h"
#include <pthread.h>

/* All threads are there at a time, so each has a heap of its own. */
static pthread_barrier_t together;

static void *work(void *argument)
{
    pthread_barrier_wait(&together);
    for (int i = 0; i < 2000; i++) CHECK(malloc(1 + i * 7) != NULL);
    pthread_barrier_wait(&together);
    return argument;
}

static void row(char *name, size_t room, const char *kind, size_t index, const char *what)
{
    snprintf(name, room, "stats.%s.%zu.%s", kind, index, what);
}

static uint64_t cell(const char *kind, size_t index, const char *what)
{
    char name[80];
    row(name, sizeof name, kind, index, what);
    return number_of(name);
}

static void every_name(void)
{
    static char names[1 << 14], one[80];
    size_t needed = 0, length = 10;
    CHECK_EQ(ctl("names", NULL, &needed, NULL, 0), 0);
    CHECK(needed > 1000 && needed < sizeof names);
    CHECK_EQ(ctl("names", names, &length, NULL, 0), EINVAL);
    CHECK_EQ(length, needed);
    CHECK_EQ(names[0], 0);
    length = sizeof names;
    CHECK_EQ(ctl("names", names, &length, NULL, 0), 0);
    CHECK_EQ(length, needed);
    CHECK_EQ(strlen(names) + 1, needed);
    int count = 0;
    for (char *line = names, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        if (!strcmp(line, "names") || !strcmp(line, "trim")) continue;
        char *hole = strstr(line, "<i>");
        if (hole) snprintf(one, sizeof one, "%.*s0%s", (int)(hole - line), line, hole + 3);
        uint64_t value[2] = {0, 0x5555};
        length = 0;
        if (ctl(hole ? one : line, NULL, &length, NULL, 0)) check_failed(__FILE__, __LINE__, "is known: ", line);
        CHECK(length == sizeof(_Bool) || length == 8);
        CHECK_EQ(ctl(hole ? one : line, value, &length, NULL, 0), 0);
        CHECK_EQ(value[1], 0x5555);
        count++;
    }
    CHECK(count > 100);
}

int main(void)
{
    pthread_t threads[3];
    free(malloc(1));
    CHECK_EQ(pthread_barrier_init(&together, NULL, 3), 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_create(&threads[i], NULL, work, NULL), 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    void *run = malloc(100000), *mapped = malloc(1000000);
    CHECK(run && mapped);
    every_name();

    struct brkmap_stats now = figures();
#define SAME(field) CHECK_EQ(number_of("stats." #field), now.field)
    SAME(allocated);
    SAME(active);
    SAME(metadata);
    SAME(mapped);
    SAME(retained);
    SAME(thread_cache);
    SAME(live_blocks);
    SAME(break_bytes);
    SAME(region_bytes);
    SAME(direct);
    SAME(direct_bytes);
    SAME(direct_peak);
    SAME(direct_peak_bytes);
    SAME(heaps);
    SAME(heaps_active);
    SAME(mmap_threshold);
    SAME(trim_threshold);
    SAME(resident);
    SAME(returnable);
    SAME(pinned);
    SAME(resident_allocated);
    SAME(resident_thread_cache);
    SAME(resident_metadata);
    CHECK_EQ(number_of("stats.calls.brk"), now.brk_calls);
    CHECK_EQ(number_of("stats.calls.mmap"), now.mmap_calls);
    CHECK_EQ(number_of("stats.calls.munmap"), now.munmap_calls);
    CHECK_EQ(number_of("stats.calls.mremap"), now.mremap_calls);
    CHECK_EQ(number_of("stats.calls.madvise"), now.madvise_calls);
    CHECK_EQ(number_of("stats.calls.futex"), now.futex_calls);
    CHECK(now.brk_calls > 0 && now.mmap_calls > 0);
    CHECK(number_of("stats.calls.mincore") > 0);
    CHECK_EQ(now.heaps, 4);
    CHECK_EQ(now.direct, 1);

    uint64_t live = 0, blocks = 0, cached = 0, pages = 0, last = 0;
    size_t classes = number_of("stats.classes");
    for (size_t i = 0; i < classes; i++) {
        uint64_t size = cell("class", i, "size");
        CHECK(size >= 8 && size <= 65536);
        CHECK_EQ(cell("class", i, "live"), cell("class", i, "blocks") * size);
        CHECK(cell("class", i, "live") + cell("class", i, "free") <= cell("class", i, "pages"));
        CHECK(cell("class", i, "thread_cache") <= cell("class", i, "free"));
        last = size > last ? size : last;
        live += cell("class", i, "live");
        blocks += cell("class", i, "blocks");
        cached += cell("class", i, "thread_cache");
        pages += cell("class", i, "pages");
    }
    CHECK_EQ(last, 65536);
    CHECK_EQ(live + malloc_usable_size(run) + malloc_usable_size(mapped), now.allocated);
    CHECK_EQ(blocks + 2, now.live_blocks);
    CHECK_EQ(cached, now.thread_cache);
    for (size_t i = 0; i < now.heaps; i++) {
        live -= cell("heap", i, "live");
        blocks -= cell("heap", i, "blocks");
        cached -= cell("heap", i, "thread_cache");
        pages -= cell("heap", i, "pages");
    }
    CHECK_EQ(live, 0);
    CHECK_EQ(blocks, 0);
    CHECK_EQ(cached, 0);
    CHECK_EQ(pages, 0);
    CHECK_EQ(cell("heap", 0, "thread"), getpid());
    CHECK(cell("heap", 1, "live") > 0);
    CHECK_EQ(ctl("stats.heap.4.live", NULL, NULL, NULL, 0), ENOENT);
    return 0;
}
