/* behaviour: threads that hand their blocks to each other, round and round, keep contents and do not grow the process
 * source: malloc(3) (MT-Safe)
 * timeout: 60
 */
#include "check.h"
#include <pthread.h>

#define THREADS 4
#define SLOTS 256
struct item { unsigned size, seed; };
static struct item *volatile slots[THREADS][SLOTS];

static void *work(void *argument)
{
    unsigned self = (unsigned)(uintptr_t)argument, seed = self + 1;
    for (unsigned turn = 0; turn < 400000; turn++) {
        seed = seed * 1664525 + 1013904223;
        struct item *volatile *from = &slots[self][turn % SLOTS], *volatile *to = &slots[(self + 1) % THREADS][turn % SLOTS];
        struct item *item = __atomic_exchange_n(from, NULL, __ATOMIC_ACQ_REL);
        if (item) {
            CHECK(filled(item + 1, item->size < 48 ? item->size : 48, item->seed));
            free(item);
        }
        unsigned size = (seed >> 9) % ((seed & 127) ? 400 : 20000);
        item = malloc(sizeof *item + size);
        CHECK(item != NULL);
        item->size = size;
        item->seed = seed;
        fill(item + 1, size < 48 ? size : 48, seed);
        free(__atomic_exchange_n(to, item, __ATOMIC_ACQ_REL));
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) CHECK_EQ(pthread_create(&threads[i], NULL, work, (void *)i), 0);
    for (int i = 0; i < THREADS; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK(status_kib("VmHWM:") < 40 * 1024);
    return 0;
}
