/* behaviour: a signal at any point of malloc or free leaves no lock held for others and the heap whole
 * source: signal-safety(7) (handlers that do not allocate are allowed anywhere)
 * timeout: 60
 */
#include "check.h"
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

static volatile unsigned long hits;
static volatile int stop;
static void handler(int number)
{
    (void)number;
    hits++;
}

static void *churn(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;
    struct { unsigned char *block; unsigned size; } slots[64] = {{NULL, 0}};
    while (!stop) {
        seed = seed * 1664525 + 1013904223;
        unsigned at = seed >> 26;
        if (slots[at].block) CHECK(filled(slots[at].block, slots[at].size < 64 ? slots[at].size : 64, at));
        free(slots[at].block);
        slots[at].size = (seed >> 8) % ((seed & 31) ? 2000 : 300000);
        slots[at].block = malloc(slots[at].size);
        CHECK(slots[at].block != NULL);
        fill(slots[at].block, slots[at].size < 64 ? slots[at].size : 64, at);
    }
    for (int i = 0; i < 64; i++) free(slots[i].block);
    return NULL;
}

int main(void)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    pthread_t threads[2];
    for (uintptr_t i = 0; i < 2; i++) CHECK_EQ(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)), 0);
    /* Signals that wait for a thread that does not run become one. */
    for (int i = 0; i < 20000 || hits <= 100; i++) {
        CHECK_EQ(pthread_kill(threads[i % 2], SIGUSR1), 0);
        if (i % 64 == 0) usleep(1000);
    }
    stop = 1;
    for (int i = 0; i < 2; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK(hits > 100);
    return 0;
}
