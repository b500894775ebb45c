/* behaviour: below `limit` a request is served from whatever nobody uses any more, wherever it lies: blocks of small classes,
 *   blocks of a sleeping thread that others freed, heaps of threads that ended; resident memory stays below the limit too
 * source: docs/POLICY.md
 * glibc: exempt (an option of brkmap's own)
 */
#include "env_run.h"
#include <pthread.h>

enum { LIMIT = 64 << 20, MOST = 400000 };
static void *blocks[MOST];
static pthread_barrier_t barrier;

/* Takes `bytes` in blocks of `size`, fewer only at the limit; how many blocks. */
static int take(size_t size, size_t bytes)
{
    int count = 0;
    while (count < MOST && count * size < bytes && (blocks[count] = malloc(size))) memset(blocks[count++], 1, size);
    return count;
}

static void give(int from, int to)
{
    for (int i = from; i < to; i++) free(blocks[i]);
}

static int wanted(size_t size, size_t bytes)
{
    return (bytes + size - 1) / size;
}

/* Takes 45 MB, sleeps while somebody else frees them, and ends when told. */
static void *taker(void *size)
{
    CHECK_EQ(take((size_t)size, 45000000), wanted((size_t)size, 45000000));
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return NULL;
}

int main(void)
{
    if (!part()) {
        PASSES("limited", "BRKMAP_LIMIT=64M");
        PASSES("limited", "BRKMAP_CONF=limit:64M,background:off");
        PASSES("limited", "BRKMAP_CONF=limit:64M,use:mmap");
        return 0;
    }
    static const size_t sizes[] = {200, 1000, 5000, 30000, 150000, 300};
    CHECK_EQ(pthread_barrier_init(&barrier, NULL, 2), 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t size = sizes[i];
        int count = wanted(size, 45000000);
        /* Its own blocks, one class after another. */
        CHECK_EQ(take(size, 45000000), count);
        give(0, count);
        /* A thread's blocks: it sleeps, then it is gone. */
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, taker, (void *)size), 0);
        pthread_barrier_wait(&barrier);
        give(0, count);
        CHECK_EQ(take(size + 40, 45000000), wanted(size + 40, 45000000));
        give(0, wanted(size + 40, 45000000));
        pthread_barrier_wait(&barrier);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        /* To the end: NULL there and nowhere before, and from then on each block that is freed can be had again. */
        errno = 0;
        count = take(size, LIMIT);
        CHECK_EQ(errno, ENOMEM);
        CHECK(count * size > LIMIT / 4 * 3);
        for (int round = 0; round < 100; round++) {
            int at = round * 37 % count;
            free(blocks[at]);
            CHECK((blocks[at] = malloc(size)) != NULL);
            memset(blocks[at], 1, size);
        }
        for (int j = 0; j < count; j++) CHECK(all_bytes(blocks[j], size, 1));
        give(0, count);
    }
    CHECK(status_kib("VmHWM") < 80 << 10);
    return 0;
}
