/* Threads that have nothing to do with each other, and what an allocator may make them share: cache lines, locks. */
#define _GNU_SOURCE
#include "micro.h"
#include <stdlib.h>

enum { MOST_THREADS = 8, SMALL = 8 };
static int threads;

enum { ALL_ROUNDS = 8000000, WRITES = 64 };
static char *from_main[MOST_THREADS];

static void scribble(int number) {
    free(from_main[number]);
    for (int round = 0; round < ALL_ROUNDS / threads; round++) {
        volatile char *p = must_malloc(SMALL);
        for (int i = 0; i < WRITES; i++) p[i % SMALL] += 1;
        free((void *)p);
    }
}

/* Each thread allocates a small block, writes to it many times and frees it, over and over: ns of wall per round. Passive: the
 * threads begin with blocks that one thread allocated side by side, and free them, so that an allocator which gives them out
 * again where they were freed keeps several threads on one cache line. Active: without them; then only an allocator that cuts
 * one line up for several threads is slow. */
double false_sharing(int count, int passive) {
    if (count < 1 || count > MOST_THREADS) abort();
    threads = count;
    for (int i = 0; passive && i < count; i++) from_main[i] = must_malloc(SMALL);
    return run_crew(count, scribble) / ALL_ROUNDS;
}

enum { ALL_STEPS = 24000000, SLOTS = 512 };

static void small_set(int number) {
    static char *tables[MOST_THREADS][SLOTS];
    char **table = tables[number];
    uint32_t state = 5u + (uint32_t)number;
    for (int step = 0; step < ALL_STEPS / threads; step++) {
        uint32_t r = next_random(&state), slot = (r >> 8) % SLOTS;
        if (table[slot]) {
            free(table[slot]);
            table[slot] = NULL;
        } else {
            table[slot] = must_malloc(16 + r % 240);
            table[slot][0] = 1;
        }
    }
    for (int i = 0; i < SLOTS; i++) free(table[i]);
}

/* Each thread allocates and frees at random within a set of its own that stays in the cache: ns of wall per call. */
double small_sets(int count) {
    if (count < 1 || count > MOST_THREADS) abort();
    threads = count;
    return run_crew(count, small_set) / ALL_STEPS;
}
