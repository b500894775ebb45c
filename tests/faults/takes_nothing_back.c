/* behaviour: on a kernel that never takes memory back, or says so and does nothing, a million operations go on as ever:
 *   contents are whole, calloc is zero, errno of free is kept, the statistics add up and return to where they began
 * source: munmap(2), madvise(2), brk(2), mremap(2) ERRORS; malloc(3)
 * inject-always: munmap=ENOMEM munmap=EPERM madvise=EPERM madvise=ENOSYS madvise=LIES mremap=ENOMEM shrink=ENOMEM clone=EAGAIN
 * timeout: 120
 */
#include "../c/check.h"
#include <malloc.h>
#include <pthread.h>

enum { THREADS = 3, SLOTS = 1024, TURNS = 1000000 / THREADS, HEAD = 64 };

static struct { unsigned char *at; size_t size; unsigned seed; } slots[THREADS][SLOTS];

/* Mostly small, some medium, a few that get a run or a mapping of their own. */
static size_t some_size(unsigned random)
{
    unsigned kind = random % 1000, more = random / 1000;
    if (kind < 900) return 1 + more % 600;
    if (kind < 990) return 1 + more % 30000;
    if (kind < 998) return 1 + more % 200000;
    return 1 + more % 900000;
}

/* A block with a mapping of its own, whatever the threshold has become. */
static void resize_mapping(unsigned seed)
{
    unsigned char *block = malloc(40000000);
    CHECK(block != NULL);
    fill(block + 39000000, 1000, seed);
    CHECK((block = realloc(block, 50000000)) != NULL);
    CHECK(filled(block + 39000000, 1000, seed));
    CHECK((block = realloc(block, 35000000)) != NULL);
    free(block);
}

static void *work(void *argument)
{
    unsigned long me = (unsigned long)argument;
    unsigned long long state = 77 + me;
    for (int turn = 0; turn < TURNS; turn++) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        unsigned random = (unsigned)(state >> 33), at = (unsigned)(state >> 20) % SLOTS;
        /* In waves, so that much becomes free and goes back, or is meant to. */
        int fills = turn / 50000 % 2 == 0;
        unsigned char *old = slots[me][at].at;
        size_t size = some_size(random), had = slots[me][at].size;
        if (old) CHECK(filled(old, had < HEAD ? had : HEAD, slots[me][at].seed));
        if (old && fills && turn % 8 == 0) {
            CHECK((slots[me][at].at = realloc(old, size)) != NULL);
            size_t kept = had < size ? had : size;
            CHECK(filled(slots[me][at].at, kept < HEAD ? kept : HEAD, slots[me][at].seed));
        } else {
            errno = 4321;
            free(old);
            CHECK_EQ(errno, 4321);
            slots[me][at].at = NULL;
            if (!fills && turn % 4) continue;
            if (turn % 2) {
                CHECK((slots[me][at].at = calloc(1, size)) != NULL);
                CHECK(all_bytes(slots[me][at].at, size, 0));
                memset(slots[me][at].at, 0xa5, size);
            } else {
                CHECK((slots[me][at].at = malloc(size)) != NULL);
            }
        }
        slots[me][at].size = size;
        slots[me][at].seed = turn;
        fill(slots[me][at].at, size < HEAD ? size : HEAD, turn);
        if (turn % 100000 == 99999) malloc_trim(0);
        if (turn % 20000 == 19999) resize_mapping(turn);
        /* Time for what is idle to go back. */
        if (turn % 50000 == 49999) usleep(me ? 1000 : 250000);
    }
    for (int i = 0; i < SLOTS; i++) {
        free(slots[me][i].at);
        slots[me][i].at = NULL;
    }
    return argument;
}

static void adds_up(void)
{
    struct mallinfo2 now = mallinfo2();
    CHECK_EQ(now.uordblks + now.fordblks, now.arena);
    CHECK(now.hblks < 1000 && now.hblkhd < (size_t)1 << 30);
}

int main(void)
{
    pthread_t threads[THREADS];
    free(malloc(1));
    struct mallinfo2 before = mallinfo2();
    for (unsigned long i = 1; i < THREADS; i++) CHECK_EQ(pthread_create(&threads[i], NULL, work, (void *)i), 0);
    work(NULL);
    for (int i = 1; i < THREADS; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    adds_up();
    malloc_trim(0);
    adds_up();
    /* What caches of threads hold counts as in use under glibc. */
    CHECK(mallinfo2().uordblks <= before.uordblks + 400000);
    CHECK_EQ(mallinfo2().hblks, before.hblks);
    return 0;
}
