/* behaviour: a program that frees most of its blocks and then does nothing becomes small by itself: no more stays than
 *   the OS pages that hold a live byte and a little over; blocks that were kept, and blocks allocated again, are intact
 * source: docs/POLICY.md
 * glibc: differs (free memory below live blocks stays resident until malloc_trim is called)
 * timeout: 60
 * alone: it waits for what a thread of the library does in its own time
 */
#include "check.h"
#include <pthread.h>
#include <sys/mman.h>

enum { BLOCKS = 1 << 16, THREADS = 4, PER_THREAD = 8000, OS_PAGE = 4096 };

static struct block {
    unsigned char *at;
    unsigned size;
} blocks[BLOCKS];
static uintptr_t os_pages[2 * BLOCKS];
static size_t count;
static pthread_barrier_t barrier;

/* Without stdio, whose buffers would be allocated. */
static long resident(void)
{
    char text[256];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    CHECK(length > 0);
    text[length] = 0;
    return strtol(strchr(text, ' '), NULL, 10) * OS_PAGE;
}

static unsigned next_random(void)
{
    static unsigned long long state = 88172645463325252ull;
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (unsigned)(state >> 11);
}

static void make(size_t i, unsigned size)
{
    blocks[i].size = size;
    CHECK((blocks[i].at = malloc(size)) != NULL);
    fill(blocks[i].at, size, (unsigned)i);
}

static void drop(size_t i)
{
    free(blocks[i].at);
    blocks[i].at = NULL;
}

static void check_contents(void)
{
    for (size_t i = 0; i < count; i++) CHECK(!blocks[i].at || filled(blocks[i].at, blocks[i].size, (unsigned)i));
}

/* What must stay: the bytes of the OS pages with at least one live byte. A Shell sort, as qsort may allocate. */
static long floor_of_live(void)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        if (!blocks[i].at) continue;
        uintptr_t first = (uintptr_t)blocks[i].at / OS_PAGE, last = ((uintptr_t)blocks[i].at + blocks[i].size - 1) / OS_PAGE;
        os_pages[found++] = first;
        if (last != first) os_pages[found++] = last;
    }
    for (size_t gap = found / 2; gap > 0; gap /= 2)
        for (size_t i = gap; i < found; i++) {
            uintptr_t moved = os_pages[i];
            size_t place = i;
            for (; place >= gap && os_pages[place - gap] > moved; place -= gap) os_pages[place] = os_pages[place - gap];
            os_pages[place] = moved;
        }
    size_t distinct = 0;
    for (size_t i = 0; i < found; i++) distinct += i == 0 || os_pages[i] != os_pages[i - 1];
    return (long)distinct * OS_PAGE;
}

/* Sleeps until no more than `limit` bytes over `start` are resident; ten seconds, for machines with other work. */
static void falls_to(const char *which, long start, long limit)
{
    for (int ms = 0; ms < 10000 && resident() - start > limit; ms += 20) usleep(20000);
    if (resident() - start <= limit) return;
    char values[120];
    snprintf(values, sizeof values, " (%ld KiB resident, %ld KiB allowed)", (resident() - start) >> 10, limit >> 10);
    check_failed(__FILE__, __LINE__, which, values);
}

static void fill_with_64_mib(void)
{
    count = 0;
    for (size_t bytes = 0; bytes < (size_t)64 << 20; bytes += blocks[count++].size) make(count, 64 + next_random() % 4033);
}

static void a_tenth_stays(long start)
{
    fill_with_64_mib();
    long full = resident() - start;
    CHECK(full > 64 << 20);
    for (size_t i = 0; i < count; i++)
        if (next_random() % 10) drop(i);
    long limit = floor_of_live() * 115 / 100 + (2 << 20);
    CHECK(limit < full / 2);
    falls_to("a tenth of the blocks is live", start, limit);
    check_contents();
    for (size_t i = 0; i < count; i++)
        if (!blocks[i].at) make(i, blocks[i].size);
    check_contents();
    for (size_t i = 0; i < count; i++) drop(i);
}

static void one_stays(long start)
{
    fill_with_64_mib();
    for (size_t i = 0; i + 1 < count; i++) drop(i);
    falls_to("one block is live", start, 3 << 20);
    check_contents();
    drop(count - 1);
}

static void *sleeper(void *argument)
{
    size_t first = (size_t)argument * PER_THREAD, others = ((size_t)argument + 1) % THREADS * PER_THREAD;
    for (size_t i = first; i < first + PER_THREAD; i++) make(i, 100 + (unsigned)(i * 2654435761u >> 7) % 3000);
    pthread_barrier_wait(&barrier); /* all are full */
    pthread_barrier_wait(&barrier); /* measured */
    for (size_t i = others; i < others + PER_THREAD; i++)
        if (i % 50) drop(i);
    pthread_barrier_wait(&barrier); /* all have freed */
    pthread_barrier_wait(&barrier); /* the process has become small */
    for (size_t i = first; i < first + PER_THREAD; i++)
        if (!blocks[i].at) make(i, blocks[i].size);
    return NULL;
}

/* The owners sleep and never call malloc, so nothing but the engine itself can look at what came back to them. */
static void owners_sleep(long start)
{
    pthread_t threads[THREADS];
    count = (size_t)THREADS * PER_THREAD;
    CHECK_EQ(pthread_barrier_init(&barrier, NULL, THREADS + 1), 0);
    for (size_t i = 0; i < THREADS; i++) CHECK_EQ(pthread_create(&threads[i], NULL, sleeper, (void *)i), 0);
    pthread_barrier_wait(&barrier);
    CHECK(resident() - start > 40 << 20);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    falls_to("another thread freed the blocks of sleeping threads", start, 20 << 20);
    check_contents();
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < THREADS; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    check_contents();
    for (size_t i = 0; i < count; i++) drop(i);
}

int main(void)
{
    memset(blocks, 0xff, sizeof blocks);
    memset(blocks, 0, sizeof blocks);
    memset(os_pages, 0xff, sizeof os_pages);
    long start = resident();
    one_stays(start);
    a_tenth_stays(start);
    owners_sleep(start);
    return 0;
}
