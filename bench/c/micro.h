/* What the measuring loops share: the clock, a pseudo-random generator, pinning, and the way to keep the compiler from
 * seeing through a block. Each loop returns its figure; main prints it. */
#ifndef BRKMAP_MICRO_H
#define BRKMAP_MICRO_H
#include <stddef.h>
#include <stdint.h>

/* The block escapes, so neither the allocation nor what is written to it can be removed. */
#define ESCAPE(p) __asm__ volatile("" : "+r"(p) : : "memory")

double now_ns(void);
/* malloc that ends the program where there is no memory. */
void *must_malloc(size_t size);
/* Pins the calling thread to the k-th CPU (modulo their number) of those the process may use. */
void pin(int k);
double median(double *values, int count);
/* Resident bytes of this process, exact (smaps_rollup). */
double resident_bytes(void);

static inline uint32_t next_random(uint32_t *state) {
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

/* 16 to 1,039 bytes, small ones more often: a power of two from 16 to 512, and a part of it on top. */
static inline size_t mixed_size(uint32_t r) {
    size_t base = (size_t)16 << ((r & 0xff) % 6);
    return base + ((r >> 8) & (base - 1));
}

double hot_pair(size_t size);
double sizes_round_robin(void);
double batch(int lifo);
double random_replacement(int objects);
double calloc_pair(size_t size);
double realloc_growth(void);
double large_cycle(size_t size);
double bytes_per_block(size_t size);
double aligned_pair(size_t size);
double aligned_replacement(void);
double growing_vectors(void);
double large_replacement(void);

/* Runs body in `count` threads, numbered from 0, each pinned to the CPU of its number (modulo their number) and all let go at
 * once; ns of wall until the last one ends. One alone is the main thread, so that the process stays one of a single thread. */
double run_crew(int count, void (*body)(int number));
double remote_free(int mixed, int pairs);
double free_only(int freeing);
double handed_over_replacement(int count);
double thread_churn(int left);
double ladders(int count, int cross);
double phases(int count);
double false_sharing(int count, int passive);
double small_sets(int count);
double start_cost(char *program);
#endif
