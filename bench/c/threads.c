/* The measuring loops of several threads. Each thread pins itself: some kernels keep two runnable threads on one CPU,
 * and then nothing contends. */
#define _GNU_SOURCE
#include "micro.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

static void start_thread(pthread_t *thread, void *(*body)(void *), void *argument) {
    if (pthread_create(thread, NULL, body, argument) != 0) abort();
}

/* A ring that one thread fills and another empties. Both yield when they cannot go on. */
enum { RING = 4096, REMOTE_BLOCKS = 4000000 };
static struct {
    _Alignas(64) atomic_size_t head;
    _Alignas(64) atomic_size_t tail;
    _Alignas(64) void *slots[RING];
} ring;

static void *consume(void *unused) {
    (void)unused;
    pin(1);
    size_t tail = 0;
    while (tail < REMOTE_BLOCKS) {
        size_t head = atomic_load_explicit(&ring.head, memory_order_acquire);
        if (head == tail) sched_yield();
        for (; tail < head; tail++) free(ring.slots[tail % RING]);
        atomic_store_explicit(&ring.tail, tail, memory_order_release);
    }
    return NULL;
}

/* One thread allocates, another frees: ns per block, wall. */
double remote_free(int mixed) {
    pin(0);
    uint32_t state = 99;
    double start = now_ns();
    pthread_t consumer;
    start_thread(&consumer, consume, NULL);
    size_t head = 0;
    while (head < REMOTE_BLOCKS) {
        size_t room = RING - (head - atomic_load_explicit(&ring.tail, memory_order_acquire));
        if (room == 0) sched_yield();
        if (room > 64) room = 64;
        for (; room > 0 && head < REMOTE_BLOCKS; room--, head++) {
            char *p = must_malloc(mixed ? mixed_size(next_random(&state)) : 64);
            p[0] = 1;
            ring.slots[head % RING] = p;
        }
        atomic_store_explicit(&ring.head, head, memory_order_release);
    }
    pthread_join(consumer, NULL);
    return (now_ns() - start) / REMOTE_BLOCKS;
}

/* Two chains of threads. Each thread replaces random blocks of a table, then starts its successor, hands the table
 * over and ends, so most blocks are freed by a thread that did not allocate them (after larson). */
enum { TABLE = 2000, REPLACEMENTS = 100000, GENERATIONS = 40 };
struct chain {
    int cpu;
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
    for (int i = 0; i < REPLACEMENTS; i++) {
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

/* ns of wall per replacement and chain. */
double handed_over_replacement(void) {
    static struct chain chains[2];
    double start = now_ns();
    for (int i = 0; i < 2; i++) {
        chains[i].cpu = i;
        chains[i].state = 77u + (uint32_t)i;
        pthread_mutex_init(&chains[i].lock, NULL);
        pthread_cond_init(&chains[i].ended, NULL);
        pthread_t first;
        start_thread(&first, generation, &chains[i]);
        pthread_detach(first);
    }
    for (int i = 0; i < 2; i++) {
        pthread_mutex_lock(&chains[i].lock);
        while (!chains[i].done) pthread_cond_wait(&chains[i].ended, &chains[i].lock);
        pthread_mutex_unlock(&chains[i].lock);
    }
    return (now_ns() - start) / ((double)GENERATIONS * REPLACEMENTS);
}

static void *short_life(void *unused) {
    (void)unused;
    void *blocks[10];
    for (size_t i = 0; i < 10; i++) {
        blocks[i] = must_malloc(16 + i * 40);
        ESCAPE(blocks[i]);
    }
    for (int i = 0; i < 10; i++) free(blocks[i]);
    return NULL;
}

/* 10,000 threads one after another, each with ten blocks: us per thread. */
double thread_churn(void) {
    enum { THREADS = 10000 };
    pin(0);
    double start = now_ns();
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;
        start_thread(&thread, short_life, NULL);
        pthread_join(thread, NULL);
    }
    return (now_ns() - start) / 1e3 / THREADS;
}
