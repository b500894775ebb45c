/* The measuring loops in which one thread frees what another allocated: producers and consumers in pairs, and one thread
 * that allocates for several that only free. */
#define _GNU_SOURCE
#include "micro.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

/* A ring that one thread fills and another empties. Both yield when they cannot go on. */
enum { RING = 4096, REMOTE_BLOCKS = 4000000, MOST_PAIRS = 8 };
static struct ring {
    _Alignas(64) atomic_size_t head;
    _Alignas(64) atomic_size_t tail;
    _Alignas(64) void *slots[RING];
} rings[MOST_PAIRS];
static size_t blocks_of_each;
static int sizes_are_mixed;

static void produce(struct ring *ring, uint32_t state) {
    size_t head = 0;
    while (head < blocks_of_each) {
        size_t room = RING - (head - atomic_load_explicit(&ring->tail, memory_order_acquire));
        if (room == 0) sched_yield();
        if (room > 64) room = 64;
        for (; room > 0 && head < blocks_of_each; room--, head++) {
            char *p = must_malloc(sizes_are_mixed ? mixed_size(next_random(&state)) : 64);
            p[0] = 1;
            ring->slots[head % RING] = p;
        }
        atomic_store_explicit(&ring->head, head, memory_order_release);
    }
}

static void consume(struct ring *ring) {
    size_t tail = 0;
    while (tail < blocks_of_each) {
        size_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
        if (head == tail) sched_yield();
        for (; tail < head; tail++) free(ring->slots[tail % RING]);
        atomic_store_explicit(&ring->tail, tail, memory_order_release);
    }
}

static void half_of_a_pair(int number) {
    struct ring *ring = &rings[number / 2];
    if (number % 2 == 0) produce(ring, 99u + (uint32_t)number);
    else consume(ring);
}

/* One thread of each pair allocates, the other frees: ns of wall per block. */
double remote_free(int mixed, int pairs) {
    if (pairs < 1 || pairs > MOST_PAIRS) abort();
    sizes_are_mixed = mixed;
    blocks_of_each = REMOTE_BLOCKS / (size_t)pairs;
    return run_crew(2 * pairs, half_of_a_pair) / REMOTE_BLOCKS;
}

/* Batches of blocks, chained through their first words, on the way from the one thread that allocates to those that only
 * free. They wait on conditions, as a program's queue would. */
enum { BATCH = 256, QUEUE = 64, BATCHES = 12000 };
static struct {
    pthread_mutex_t lock;
    pthread_cond_t filled, emptied;
    void **batches[QUEUE];
    size_t put, taken;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER, .emptied = PTHREAD_COND_INITIALIZER};

static void allocate_for_the_others(void) {
    uint32_t state = 4711;
    for (size_t batch = 0; batch < BATCHES; batch++) {
        void **first = NULL;
        for (int i = 0; i < BATCH; i++) {
            void **block = must_malloc(mixed_size(next_random(&state)));
            *block = first;
            first = block;
        }
        pthread_mutex_lock(&queue.lock);
        while (queue.put - queue.taken == QUEUE) pthread_cond_wait(&queue.emptied, &queue.lock);
        queue.batches[queue.put++ % QUEUE] = first;
        pthread_cond_signal(&queue.filled);
        pthread_mutex_unlock(&queue.lock);
    }
}

static void only_free(void) {
    for (;;) {
        pthread_mutex_lock(&queue.lock);
        while (queue.put == queue.taken && queue.taken < BATCHES) pthread_cond_wait(&queue.filled, &queue.lock);
        if (queue.taken == BATCHES) {
            /* The last batch is taken: whoever still waits for one ends too. */
            pthread_cond_broadcast(&queue.filled);
            pthread_mutex_unlock(&queue.lock);
            return;
        }
        void **block = queue.batches[queue.taken++ % QUEUE];
        if (queue.taken == BATCHES) pthread_cond_broadcast(&queue.filled);
        pthread_cond_signal(&queue.emptied);
        pthread_mutex_unlock(&queue.lock);
        while (block) {
            void **next = *block;
            free(block);
            block = next;
        }
    }
}

static void first_allocates(int number) {
    if (number == 0) allocate_for_the_others();
    else only_free();
}

/* One thread allocates blocks of mixed sizes, `freeing` others only free them: ns of wall per block. */
double free_only(int freeing) {
    if (freeing < 1) abort();
    return run_crew(1 + freeing, first_allocates) / ((double)BATCHES * BATCH);
}
