/* Ladders: every size from small to 1,000 bytes in turn, into a ring of slots that is far larger than a cache of a thread.
 * What is freed goes by the chunk: half of a chunk in the order of its allocation, half in the reverse, and every 16th block
 * is kept until the ring has gone round. In the other variant the next thread frees the chunk. */
#define _GNU_SOURCE
#include "micro.h"
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Slots and blocks of all threads together; each has its part. */
enum { ALL_SLOTS = 40000, ALL_BLOCKS = 12800000, CHUNKS = 20, LAG = 6, KEEP_EVERY = 16, INBOX = 8, MOST_THREADS = 8 };
enum { MOST_CHUNK_SLOTS = ALL_SLOTS / CHUNKS };
static int threads, chunk_slots, hands_over;

/* Chunks that a thread's predecessor has handed to it: one writes, one reads. */
static struct inbox {
    _Alignas(64) atomic_size_t put;
    _Alignas(64) atomic_size_t taken;
    char *chunks[INBOX][MOST_CHUNK_SLOTS];
} inboxes[MOST_THREADS];
static atomic_int at_the_end;

static void free_chunk(char **slots) {
    for (int i = 0; i < chunk_slots / 2; i++) {
        free(slots[i]);
        slots[i] = NULL;
    }
    for (int i = chunk_slots - 1; i >= chunk_slots / 2; i--) {
        free(slots[i]);
        slots[i] = NULL;
    }
}

static int free_what_came(int number) {
    struct inbox *mine = &inboxes[number];
    size_t taken = atomic_load_explicit(&mine->taken, memory_order_relaxed);
    if (taken == atomic_load_explicit(&mine->put, memory_order_acquire)) return 0;
    free_chunk(mine->chunks[taken % INBOX]);
    atomic_store_explicit(&mine->taken, taken + 1, memory_order_release);
    return 1;
}

/* Moves the blocks of a chunk to the next thread. While its inbox is full this thread empties its own, so nobody waits for
 * somebody who waits. */
static void hand_over(int number, char **slots) {
    struct inbox *next = &inboxes[(number + 1) % threads];
    size_t put = atomic_load_explicit(&next->put, memory_order_relaxed);
    while (put - atomic_load_explicit(&next->taken, memory_order_acquire) == INBOX)
        if (!free_what_came(number)) sched_yield();
    for (int i = 0; i < chunk_slots; i++) {
        next->chunks[put % INBOX][i] = slots[i];
        slots[i] = NULL;
    }
    atomic_store_explicit(&next->put, put + 1, memory_order_release);
}

/* The chunk is done with but for its kept blocks, which stay in their slots. */
static void release_chunk(int number, char **slots) {
    char *kept[MOST_CHUNK_SLOTS / KEEP_EVERY + 1];
    for (int i = 0; i < chunk_slots; i += KEEP_EVERY) {
        kept[i / KEEP_EVERY] = slots[i];
        slots[i] = NULL;
    }
    if (hands_over) hand_over(number, slots);
    else free_chunk(slots);
    for (int i = 0; i < chunk_slots; i += KEEP_EVERY) slots[i] = kept[i / KEEP_EVERY];
}

static void climb(int number) {
    static char *rings[MOST_THREADS][ALL_SLOTS];
    char **ring = rings[number];
    size_t size = 1, of_this_size = 0;
    int rounds = ALL_BLOCKS / threads / (chunk_slots * CHUNKS);
    for (int chunk = 0; chunk < rounds * CHUNKS; chunk++) {
        char **slots = ring + (chunk % CHUNKS) * chunk_slots;
        for (int i = 0; i < chunk_slots; i++) {
            free(slots[i]); /* one that was kept, or nothing */
            slots[i] = must_malloc(size);
            slots[i][0] = 1;
            /* Many of a small size, few of a large one; steps grow with the size. */
            if (++of_this_size > 1 + 400 / size) {
                of_this_size = 0;
                size = size >= 1000 ? 1 : size + 1 + size / 16;
                if (size > 1000) size = 1000;
            }
        }
        if (chunk >= LAG) release_chunk(number, ring + ((chunk - LAG) % CHUNKS) * chunk_slots);
        if (hands_over) while (free_what_came(number)) {}
    }
    atomic_fetch_add(&at_the_end, 1);
    while (hands_over && (atomic_load(&at_the_end) < threads || free_what_came(number)))
        if (!free_what_came(number)) sched_yield();
    for (int i = 0; i < chunk_slots * CHUNKS; i++) free(ring[i]);
}

/* ns of wall per block, all threads together. */
double ladders(int count, int cross) {
    if (count < 1 || count > MOST_THREADS) abort();
    threads = count;
    chunk_slots = MOST_CHUNK_SLOTS / count;
    hands_over = cross;
    return run_crew(count, climb) / ALL_BLOCKS;
}
