/* behaviour: a thread that only frees gives the memory back to those that allocate: the process does not grow
 * source: malloc(3) (MT-Safe); the producer/consumer pattern
 * timeout: 60
 */
#include "check.h"
#include <pthread.h>

#define RING 1024
static void *volatile ring[RING];
static volatile int done;

static void *consume(void *argument)
{
    unsigned at = 0;
    while (!done || ring[at % RING]) {
        void *block = __atomic_exchange_n(&ring[at % RING], NULL, __ATOMIC_ACQUIRE);
        if (!block) {
            sched_yield();
            continue;
        }
        free(block);
        at++;
    }
    return argument;
}

int main(void)
{
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, consume, NULL), 0);
    long early = 0;
    for (unsigned i = 0; i < 600000; i++) {
        size_t size = i % 1000 == 999 ? 60000 : 16 + i % 500;
        char *block = malloc(size);
        CHECK(block != NULL);
        block[0] = block[size - 1] = 1;
        while (__atomic_load_n(&ring[i % RING], __ATOMIC_RELAXED))
            sched_yield();
        __atomic_store_n(&ring[i % RING], block, __ATOMIC_RELEASE);
        if (i == 100000) early = status_kib("VmRSS:");
    }
    done = 1;
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK(status_kib("VmRSS:") < early + 8192);
    return 0;
}
