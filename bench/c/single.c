/* The measuring loops of one thread. */
#include "micro.h"
#include <stdlib.h>
#include <string.h>

/* malloc and free of one size, alternating: ns per pair, the least of many short windows, so that what other programs
 * take from the CPU drops out. */
double hot_pair(size_t size) {
    double best = 1e18;
    for (int window = 0; window < 400; window++) {
        const int pairs = 10000;
        double start = now_ns();
        for (int i = 0; i < pairs; i++) {
            void *p = malloc(size);
            ESCAPE(p);
            free(p);
        }
        double each = (now_ns() - start) / pairs;
        if (each < best) best = each;
    }
    return best;
}

/* 32 sizes from 16 to 1,008 bytes in turn: ns per pair, the least of the windows. */
double sizes_round_robin(void) {
    double best = 1e18;
    for (int window = 0; window < 200; window++) {
        const int rounds = 500;
        double start = now_ns();
        for (int i = 0; i < rounds; i++) {
            for (int k = 0; k < 32; k++) {
                void *p = malloc(16 + (size_t)k * 32);
                ESCAPE(p);
                free(p);
            }
        }
        double each = (now_ns() - start) / (rounds * 32);
        if (each < best) best = each;
    }
    return best;
}

/* 1,000 blocks of 64 bytes allocated, then freed in the reverse or the same order: ns per block. */
double batch(int lifo) {
    enum { BLOCKS = 1000, WINDOWS = 3000 };
    static void *blocks[BLOCKS];
    static double each[WINDOWS];
    for (int window = 0; window < WINDOWS; window++) {
        double start = now_ns();
        for (int round = 0; round < 10; round++) {
            for (int i = 0; i < BLOCKS; i++) blocks[i] = malloc(64);
            ESCAPE(blocks[0]);
            if (lifo) for (int i = BLOCKS - 1; i >= 0; i--) free(blocks[i]);
            else for (int i = 0; i < BLOCKS; i++) free(blocks[i]);
        }
        each[window] = (now_ns() - start) / (10 * BLOCKS);
    }
    return median(each, WINDOWS);
}

/* A table of live blocks of mixed sizes, of which a random one is replaced: ns per replacement, generator included. */
double random_replacement(int objects) {
    enum { WINDOWS = 40 };
    static double each[WINDOWS];
    uint32_t state = 12345;
    char **table = must_malloc((size_t)objects * sizeof *table);
    for (int i = 0; i < objects; i++) {
        table[i] = must_malloc(mixed_size(next_random(&state)));
        table[i][0] = 1;
    }
    int operations = 200000;
    for (int window = 0; window < WINDOWS; window++) {
        double start = now_ns();
        for (int i = 0; i < operations; i++) {
            uint32_t r = next_random(&state);
            uint32_t slot = (uint32_t)(((uint64_t)r * (uint32_t)objects) >> 32);
            free(table[slot]);
            char *p = malloc(mixed_size(r));
            p[0] = 1;
            table[slot] = p;
        }
        each[window] = (now_ns() - start) / operations;
    }
    return median(each, WINDOWS);
}

/* calloc and free of one size: ns per pair, the median of the windows. */
double calloc_pair(size_t size) {
    enum { WINDOWS = 50 };
    static double each[WINDOWS];
    int pairs = size > 32768 ? 200 : 5000;
    for (int window = 0; window < WINDOWS; window++) {
        double start = now_ns();
        for (int i = 0; i < pairs; i++) {
            char *p = calloc(1, size);
            ESCAPE(p);
            p[size / 2] = 1;
            free(p);
        }
        each[window] = (now_ns() - start) / pairs;
    }
    return median(each, WINDOWS);
}

/* aligned_alloc to 64 bytes and free of one size: ns per pair, the least of the windows. */
double aligned_pair(size_t size) {
    double best = 1e18;
    for (int window = 0; window < 400; window++) {
        const int pairs = 10000;
        double start = now_ns();
        for (int i = 0; i < pairs; i++) {
            void *p = aligned_alloc(64, size);
            ESCAPE(p);
            free(p);
        }
        double each = (now_ns() - start) / pairs;
        if (each < best) best = each;
    }
    return best;
}

/* A table of live blocks of mixed sizes and of alignments from 16 to 4,096 bytes, small ones more often, of which a random one
 * is replaced: ns per replacement. */
double aligned_replacement(void) {
    enum { OBJECTS = 5000, WINDOWS = 20, OPERATIONS = 200000 };
    static double each[WINDOWS];
    static void *table[OBJECTS];
    uint32_t state = 271828;
    for (int window = 0; window < WINDOWS; window++) {
        double start = now_ns();
        for (int i = 0; i < OPERATIONS; i++) {
            uint32_t r = next_random(&state), slot = (r >> 8) % OBJECTS;
            /* The trailing zeros of a random number: each alignment half as often as the one before. */
            size_t alignment = (size_t)16 << (__builtin_ctz((r >> 4) | 0x100) & 0xf);
            free(table[slot]);
            if (posix_memalign(&table[slot], alignment, mixed_size(next_random(&state))) != 0) abort();
            *(char *)table[slot] = 1;
        }
        each[window] = (now_ns() - start) / OPERATIONS;
    }
    return median(each, WINDOWS);
}

/* 64 vectors that grow in turn, by half each time, from 16 bytes to 64 KiB and then begin anew: ns per growth. */
double growing_vectors(void) {
    enum { VECTORS = 64, WINDOWS = 20, OPERATIONS = 60000 };
    static double each[WINDOWS];
    static struct {
        char *at;
        size_t room;
    } vectors[VECTORS];
    uint32_t state = 1618;
    for (int window = 0; window < WINDOWS; window++) {
        double start = now_ns();
        for (int i = 0; i < OPERATIONS; i++) {
            uint32_t which = next_random(&state) % VECTORS;
            size_t room = vectors[which].room, larger = room ? room + room / 2 : 16;
            if (larger > 65536) {
                free(vectors[which].at);
                vectors[which].at = NULL;
                room = 0;
                larger = 16;
            }
            vectors[which].at = realloc(vectors[which].at, larger);
            if (!vectors[which].at) abort();
            memset(vectors[which].at + room, 1, larger - room);
            vectors[which].room = larger;
        }
        each[window] = (now_ns() - start) / OPERATIONS;
    }
    return median(each, WINDOWS);
}

/* Eight live blocks of 1 to 9 MiB, of which a random one is replaced and one byte of each of its OS pages written: us per
 * replacement. */
double large_replacement(void) {
    enum { LIVE = 8, WINDOWS = 10, OPERATIONS = 80 };
    static double each[WINDOWS];
    static char *table[LIVE];
    uint32_t state = 4242;
    for (int window = 0; window < WINDOWS; window++) {
        double start = now_ns();
        for (int i = 0; i < OPERATIONS; i++) {
            uint32_t r = next_random(&state);
            size_t size = ((size_t)1 << 20) + (r >> 3) % (8u << 20);
            free(table[r % LIVE]);
            char *p = table[r % LIVE] = must_malloc(size);
            for (size_t at = 0; at < size; at += 4096) p[at] = 1;
        }
        each[window] = (now_ns() - start) / 1e3 / OPERATIONS;
    }
    return median(each, WINDOWS);
}

/* One block grown from 1 KiB to 64 MiB in steps of 64 KiB, each new byte written: ms per growth. */
double realloc_growth(void) {
    enum { ROUNDS = 7 };
    static double each[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        size_t size = 1024;
        char *p = must_malloc(size);
        memset(p, 1, size);
        while (size < (size_t)64 << 20) {
            size_t larger = size + 65536;
            p = realloc(p, larger);
            if (!p) abort();
            memset(p + size, 1, larger - size);
            size = larger;
        }
        ESCAPE(p);
        free(p);
        each[round] = (now_ns() - start) / 1e6;
    }
    return median(each, ROUNDS);
}

/* A large block allocated, one byte of each OS page written, freed: us per cycle once the loop is warm. */
double large_cycle(size_t size) {
    enum { CYCLES = 100 };
    static double each[CYCLES];
    for (int cycle = 0; cycle < CYCLES; cycle++) {
        double start = now_ns();
        char *p = must_malloc(size);
        for (size_t at = 0; at < size; at += 4096) p[at] = 1;
        ESCAPE(p);
        free(p);
        each[cycle] = (now_ns() - start) / 1e3;
    }
    return median(each, CYCLES);
}

/* 64 MiB of live blocks of one size, all written and chained through their first word: resident bytes per block. */
double bytes_per_block(size_t size) {
    size_t count = ((size_t)64 << 20) / size;
    void **last = NULL;
    double before = resident_bytes();
    for (size_t i = 0; i < count; i++) {
        void **p = must_malloc(size);
        memset(p, 1, size);
        *p = last;
        last = p;
    }
    ESCAPE(last);
    return (resident_bytes() - before) / (double)count;
}
