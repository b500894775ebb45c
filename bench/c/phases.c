/* Phases of growth and shrinkage: all threads fill their tables, then all free most of them at random, again and again. A part
 * of what is freed is exchanged for blocks of other threads first. In every other phase of growth the sizes are larger, so
 * that what is free of the last phase does not simply fit the next. */
#define _GNU_SOURCE
#include "micro.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { ALL_ENTRIES = 120000, PHASES = 24, EXCHANGE = 512, MOST_THREADS = 8 };
static int threads;
static _Atomic(char *) exchange[EXCHANGE];
static pthread_barrier_t phase_ends;

/* Mostly small, now and then some kilobytes; twice that in odd phases. */
static size_t size_in_phase(int phase, uint32_t r) {
    size_t size = (r & 0xff00) == 0 ? 4096 + (r >> 16) % 12288 : mixed_size(r);
    return phase % 2 ? 2 * size : size;
}

static char *filled(size_t size) {
    char *p = must_malloc(size);
    memset(p, 1, size);
    return p;
}

static void grow_and_shrink(int number) {
    static char *tables[MOST_THREADS][ALL_ENTRIES];
    char **table = tables[number];
    int entries = ALL_ENTRIES / threads;
    uint32_t state = 31u + (uint32_t)number;
    for (int phase = 0; phase < PHASES; phase++) {
        for (int i = 0; i < entries; i++)
            if (!table[i]) table[i] = filled(size_in_phase(phase, next_random(&state)));
        pthread_barrier_wait(&phase_ends);
        for (int i = 0; i < entries; i++) {
            uint32_t r = next_random(&state);
            if (r % 8 == 0) continue; /* what stays */
            if (r % 8 == 1) table[i] = atomic_exchange(&exchange[(r >> 8) % EXCHANGE], table[i]);
            free(table[i]);
            table[i] = NULL;
        }
        pthread_barrier_wait(&phase_ends);
    }
    for (int i = 0; i < entries; i++) free(table[i]);
}

/* ns of wall per entry and phase, all threads together. */
double phases(int count) {
    if (count < 1 || count > MOST_THREADS) abort();
    threads = count;
    pthread_barrier_init(&phase_ends, NULL, (unsigned)count);
    double ns = run_crew(count, grow_and_shrink) / ((double)ALL_ENTRIES * PHASES);
    for (int i = 0; i < EXCHANGE; i++) free(atomic_exchange(&exchange[i], NULL));
    return ns;
}
