/* Threads that begin and end, and the crew that the other loops of several threads run on. Each thread pins itself: some
 * kernels keep two runnable threads on one CPU, and then nothing contends. */
#define _GNU_SOURCE
#include "micro.h"
#include <pthread.h>
#include <stdlib.h>

static void start_thread(pthread_t *thread, void *(*body)(void *), void *argument) {
    if (pthread_create(thread, NULL, body, argument) != 0) abort();
}

static pthread_barrier_t let_go;
static void (*crew_body)(int number);

static void *crew_member(void *argument) {
    int number = (int)(size_t)argument;
    pin(number);
    pthread_barrier_wait(&let_go);
    crew_body(number);
    return NULL;
}

double run_crew(int count, void (*body)(int number)) {
    enum { MOST = 16 };
    pthread_t members[MOST];
    if (count > MOST) abort();
    double start = now_ns();
    if (count == 1) {
        pin(0);
        body(0);
        return now_ns() - start;
    }
    crew_body = body;
    pthread_barrier_init(&let_go, NULL, (unsigned)count);
    for (int i = 0; i < count; i++) start_thread(&members[i], crew_member, (void *)(size_t)i);
    for (int i = 0; i < count; i++) pthread_join(members[i], NULL);
    return now_ns() - start;
}

/* Chains of threads. Each thread replaces random blocks of a table, then starts its successor, hands the table
 * over and ends, so most blocks are freed by a thread that did not allocate them (after larson). */
enum { TABLE = 2000, ALL_REPLACEMENTS = 200000, GENERATIONS = 60, MOST_CHAINS = 8 };
struct chain {
    int cpu;
    int replacements; /* in each generation */
    int generation; /* only the chain's running thread touches it */
    int done;       /* under the lock */
    uint32_t state;
    char *table[TABLE];
    pthread_mutex_t lock;
    pthread_cond_t ended;
};

static void *generation(void *argument) {
    struct chain *chain = argument;
    pin(chain->cpu);
    for (int i = 0; i < chain->replacements; i++) {
        uint32_t r = next_random(&chain->state);
        uint32_t slot = (uint32_t)(((uint64_t)r * TABLE) >> 32);
        free(chain->table[slot]);
        char *p = must_malloc(mixed_size(r));
        p[0] = 1;
        chain->table[slot] = p;
    }
    if (++chain->generation < GENERATIONS) {
        pthread_t next;
        start_thread(&next, generation, chain);
        pthread_detach(next);
        return NULL;
    }
    pthread_mutex_lock(&chain->lock);
    chain->done = 1;
    pthread_cond_signal(&chain->ended);
    pthread_mutex_unlock(&chain->lock);
    return NULL;
}

/* ns of wall per replacement of the two chains that two CPUs can run at a time. */
double handed_over_replacement(int count) {
    static struct chain chains[MOST_CHAINS];
    if (count < 1 || count > MOST_CHAINS) abort();
    double start = now_ns();
    for (int i = 0; i < count; i++) {
        chains[i].cpu = i;
        chains[i].replacements = ALL_REPLACEMENTS / count;
        chains[i].state = 77u + (uint32_t)i;
        pthread_mutex_init(&chains[i].lock, NULL);
        pthread_cond_init(&chains[i].ended, NULL);
        pthread_t first;
        start_thread(&first, generation, &chains[i]);
        pthread_detach(first);
    }
    for (int i = 0; i < count; i++) {
        pthread_mutex_lock(&chains[i].lock);
        while (!chains[i].done) pthread_cond_wait(&chains[i].ended, &chains[i].lock);
        pthread_mutex_unlock(&chains[i].lock);
    }
    return (now_ns() - start) / ((double)GENERATIONS * ALL_REPLACEMENTS / 2);
}

enum { OWN_BLOCKS = 10 };
static int blocks_are_left;

static void *short_life(void *argument) {
    void **blocks = argument;
    for (size_t i = 0; i < OWN_BLOCKS; i++) {
        blocks[i] = must_malloc(16 + i * 40);
        ESCAPE(blocks[i]);
    }
    for (int i = 0; i < OWN_BLOCKS && !blocks_are_left; i++) free(blocks[i]);
    return NULL;
}

/* 10,000 threads one after another, each with ten blocks, which it frees itself or leaves to the main thread: us per thread. */
double thread_churn(int left) {
    enum { THREADS = 10000 };
    void *blocks[OWN_BLOCKS];
    blocks_are_left = left;
    pin(0);
    double start = now_ns();
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;
        start_thread(&thread, short_life, blocks);
        pthread_join(thread, NULL);
        for (int k = 0; k < OWN_BLOCKS && left; k++) free(blocks[k]);
    }
    return (now_ns() - start) / 1e3 / THREADS;
}
