/* behaviour: threads that come and go allocate, resize and free each other's blocks in all sizes, while the process forks,
 *   trims and reads statistics: contents stay whole in parent and children
 * source: malloc(3), fork(2)
 * timeout: 120
 */
#include "check.h"
#include <malloc.h>
#include <pthread.h>
#include <sys/wait.h>

#define SLOTS 512
struct item { unsigned size, seed; };
static struct item *volatile slots[SLOTS];
static volatile int stop;

static size_t some_size(unsigned seed)
{
    unsigned kind = seed % 256;
    size_t wish = (seed >> 8) % 0x10000;
    if (kind < 180) return wish % 500;
    if (kind < 230) return wish % 9000;
    if (kind < 250) return wish;
    if (kind < 254) return wish * 4;
    return wish * 20;
}

static void look(struct item *item)
{
    CHECK(filled(item + 1, item->size < 64 ? item->size : 64, item->seed));
    if (item->size > 64) CHECK_EQ(((unsigned char *)(item + 1))[item->size - 1], item->seed & 0xff);
}

static void dress(struct item *item, unsigned size, unsigned seed)
{
    item->size = size;
    item->seed = seed;
    fill(item + 1, size < 64 ? size : 64, seed);
    if (size > 64) ((unsigned char *)(item + 1))[size - 1] = seed & 0xff;
}

static void *work(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument * 2654435761u;
    for (int turn = 0; turn < 4000; turn++) {
        seed = seed * 1664525 + 1013904223;
        struct item *volatile *slot = &slots[(seed >> 5) % SLOTS];
        struct item *item = __atomic_exchange_n(slot, NULL, __ATOMIC_ACQ_REL);
        unsigned size = (unsigned)some_size(seed >> 3);
        if (item) look(item);
        if (item && seed & 1) {
            unsigned had = item->size, was = item->seed;
            item = realloc(item, sizeof *item + size);
            CHECK(item != NULL && item->seed == was);
            unsigned keep = had < size ? had : size;
            CHECK(filled(item + 1, keep < 64 ? keep : 64, was));
        } else {
            free(item);
            if (seed & 2) item = calloc(1, sizeof *item + size);
            else if (seed % 16 == 4) item = memalign((size_t)16 << (seed >> 9) % 9, sizeof *item + size);
            else item = malloc(sizeof *item + size);
            CHECK(item != NULL);
        }
        dress(item, size, seed);
        item = __atomic_exchange_n(slot, item, __ATOMIC_ACQ_REL);
        if (item) look(item);
        free(item);
    }
    return NULL;
}

static void *generations(void *argument)
{
    for (unsigned round = 0; !stop; round++) {
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, work, (void *)((uintptr_t)argument * 1000 + round)), 0);
        CHECK_EQ(pthread_join(thread, NULL), 0);
    }
    return NULL;
}

static void child(void)
{
    alarm(60);
    for (int i = 0; i < SLOTS; i++) {
        struct item *item = slots[i];
        if (!item) continue;
        look(item);
        free(item);
        slots[i] = NULL;
    }
    work((void *)77);
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, work, (void *)78), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    _exit(0);
}

int main(void)
{
    pthread_t threads[5];
    for (uintptr_t i = 0; i < 5; i++) CHECK_EQ(pthread_create(&threads[i], NULL, generations, (void *)(i + 1)), 0);
    for (int round = 0; round < 60; round++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (!pid) child();
        malloc_trim(0);
        struct mallinfo2 info = mallinfo2();
        CHECK_EQ(info.uordblks + info.fordblks, info.arena);
        int status;
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK_EQ(status, 0);
    }
    stop = 1;
    for (int i = 0; i < 5; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < SLOTS; i++) free(slots[i]);
    return 0;
}
