/* behaviour: figures, names, prints and trims while other threads allocate, hand blocks over, and come and go: the equations
 *   hold in each structure, and when all is freed the figures are exact again
 * source: brkmap.h
 * glibc: exempt (functions of brkmap's own)
 * timeout: 90
 */
#include "api.h"
#include <pthread.h>

static volatile int stop;
static void *volatile shelf[256];

static void *churn(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument * 77;
    for (int i = 0; i < 20000 && !stop; i++) {
        seed = seed * 1664525 + 1013904223;
        size_t size = (seed >> 8) % ((seed & 127) ? 3000 : 400000);
        unsigned char *block = malloc(size + 1);
        CHECK(block != NULL);
        block[0] = block[size] = 1;
        /* What another thread put there is freed here. */
        free(__atomic_exchange_n(&shelf[seed >> 24], block, __ATOMIC_ACQ_REL));
    }
    return NULL;
}

static void *spawn(void *argument)
{
    pthread_t thread;
    while (!stop) {
        CHECK_EQ(pthread_create(&thread, NULL, churn, argument), 0);
        CHECK_EQ(pthread_join(thread, NULL), 0);
    }
    return NULL;
}

static void ignore(void *argument, const char *part)
{
    *(size_t *)argument += strlen(part);
}

int main(void)
{
    pthread_t threads[3];
    free(malloc(1));
    struct brkmap_stats before = figures();
    for (uintptr_t i = 0; i < 3; i++) CHECK_EQ(pthread_create(&threads[i], NULL, spawn, (void *)(i + 1)), 0);
    size_t printed = 0;
    for (int i = 0; i < 200; i++) {
        struct brkmap_stats now = BRKMAP_STATS_INIT;
        CHECK_EQ(stats_get(&now), 0);
        CHECK_EQ(now.mapped, now.active + now.retained + now.metadata);
        CHECK_EQ(now.resident, now.resident_allocated + now.resident_thread_cache + now.pinned + now.returnable +
                                   now.resident_metadata);
        CHECK(number_of("stats.heap.0.pages") < (uint64_t)1 << 40);
        number_of("stats.class.30.live");
        if (i % 8 == 0) stats_print(ignore, &printed, 0);
        if (i % 16 == 0) CHECK_EQ(ctl("trim", NULL, NULL, NULL, 0), 0);
    }
    CHECK(printed > 10000);
    stop = 1;
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 256; i++) free(shelf[i]);
    struct brkmap_stats after = figures();
    CHECK(after.live_blocks <= before.live_blocks + 20);
    CHECK(after.allocated <= before.allocated + 20000);
    malloc_trim(0);
    CHECK(figures().resident < before.resident + 8 * MIB);
    return 0;
}
