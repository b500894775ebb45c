/* latency: how long single calls of malloc and free take, as percentiles.
 *
 *     latency malloc|free PERCENT
 *
 * Two threads, each pinned to a CPU of its own, replace random blocks of their own tables: mostly 16 to 1,039 bytes, one in 33
 * of 4 to 64 KiB, one in 3,300 of 256 KiB to 1.2 MiB. Each call stands alone between two readings of the processor's
 * time-stamp counter, which waits for the instructions before it; what two readings with nothing between them cost is taken
 * off. Blocks are written to outside of what is timed.
 *
 * What the kernel does meanwhile is not the allocator's, and at 1 in 10,000 it is nearly all there is on a busy machine. Two
 * measures against it: a call during which the thread lost its CPU to another (its count of involuntary switches rose) is not
 * counted; and the run is cut into slices, of which the one with the least percentile gives the figure, per thread, so that
 * ticks of the clock that fall on some slices more than on others do not. What an allocator itself does once in CALLS calls of
 * either kind stays, and so does waiting for a lock. The figure is the mean of the two threads. It prints "value X",
 * nanoseconds, and "malloc PATH", the object whose malloc it was. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <x86intrin.h>

enum { THREADS = 2, SLOTS = 30000, CALLS = 200000, SLICES = 5 };
/* Ticks that no call takes by itself but rarely: from there on it is asked whether the thread lost its CPU. */
enum { SUSPECT = 10000 };
/* One bin per tick up to a size, then bins of a 64th of their value: a percentile is off by 1.6 % at most. */
enum { LINEAR = 1024, STEPS = 64, BINS = LINEAR + STEPS * 54 };

static pthread_barrier_t barrier;
static cpu_set_t allowed;
static int of_free;
static double part, ticks_per_ns;
static double figures[THREADS];

static void die(const char *what) {
    fprintf(stderr, "latency: %s\n", what);
    exit(1);
}

static inline uint64_t before(void) {
    _mm_lfence();
    uint64_t t = __rdtsc();
    _mm_lfence();
    return t;
}

static inline uint64_t after(void) {
    unsigned processor;
    uint64_t t = __rdtscp(&processor);
    _mm_lfence();
    return t;
}

static int bin_of(uint64_t ticks) {
    if (ticks < LINEAR) return (int)ticks;
    int top = 63 - __builtin_clzll(ticks);
    return LINEAR + (top - 10) * STEPS + (int)((ticks >> (top - 6)) & (STEPS - 1));
}

static double ticks_of(int bin) {
    if (bin < LINEAR) return bin;
    int top = 10 + (bin - LINEAR) / STEPS;
    return ((uint64_t)1 << top) + ((bin - LINEAR) % STEPS + 0.5) * ((uint64_t)1 << (top - 6));
}

/* The value that `part` of the counted calls do not pass. */
static double percentile(const uint32_t *bins) {
    uint64_t counted = 0, seen = 0;
    for (int bin = 0; bin < BINS; bin++) counted += bins[bin];
    uint64_t wanted = (uint64_t)(part * (double)counted);
    for (int bin = 0; bin < BINS; bin++) {
        seen += bins[bin];
        if (seen > wanted) return ticks_of(bin);
    }
    die("nothing was counted");
    return 0;
}

static uint32_t next_random(uint32_t *state) {
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

static size_t next_size(uint32_t *state) {
    uint32_t r = next_random(state), kind = next_random(state) % 3300;
    if (kind == 0) return (256 << 10) + r % (972u << 10);
    if (kind <= 100) return (4 << 10) + r % (60u << 10);
    size_t base = (size_t)16 << ((r & 0xff) % 6);
    return base + ((r >> 8) & (base - 1));
}

static void pin(int k) {
    int rank = k % CPU_COUNT(&allowed);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || rank-- > 0) continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        sched_setaffinity(0, sizeof one, &one);
        return;
    }
}

/* What two readings cost with nothing between them. */
static uint64_t own_cost(void) {
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < 100000; i++) {
        uint64_t start = before();
        uint64_t ticks = after() - start;
        if (ticks < least) least = ticks;
    }
    return least;
}

static long involuntary_switches(void) {
    struct rusage used;
    getrusage(RUSAGE_THREAD, &used);
    return used.ru_nivcsw;
}

static void write_ends(char *block, size_t size) {
    block[0] = 1;
    block[size - 1] = 1;
}

static void *work(void *argument) {
    int number = (int)(intptr_t)argument;
    static uint32_t bins[THREADS][BINS];
    static char *tables[THREADS][SLOTS];
    uint32_t state = 12345 + 777 * (uint32_t)number;
    char **table = tables[number];
    pin(number);
    for (int i = 0; i < SLOTS; i++) {
        size_t size = next_size(&state);
        if (!(table[i] = malloc(size))) die("malloc gave nothing");
        write_ends(table[i], size);
    }
    uint64_t cost = own_cost();
    double least = 1e18;
    uint64_t last = 0;
    long switches = 0;
    /* The first slice, in which the heap finds its shape, is not counted. */
    for (int slice = 0; slice <= SLICES; slice++) {
        pthread_barrier_wait(&barrier);
        memset(bins[number], 0, sizeof bins[number]);
        for (int call = 0; call < CALLS; call++) {
            uint32_t slot = (uint32_t)(((uint64_t)next_random(&state) * SLOTS) >> 32);
            size_t size = next_size(&state);
            char *old = table[slot];
            /* What happened between two calls must not be taken for what happens in the next. */
            if (before() - last > SUSPECT) switches = involuntary_switches();
            uint64_t start = before();
            free(old);
            uint64_t freed = after();
            uint64_t again = before();
            char *block = malloc(size);
            uint64_t end = after();
            if (!block) die("malloc gave nothing");
            write_ends(block, size);
            table[slot] = block;
            uint64_t ticks = of_free ? freed - start : end - again;
            last = end;
            if (end - start > SUSPECT) {
                long now = involuntary_switches(), earlier = switches;
                switches = now;
                if (now != earlier) continue;
            }
            bins[number][bin_of(ticks > cost ? ticks - cost : 0)]++;
        }
        double value = percentile(bins[number]);
        if (slice > 0 && value < least) least = value;
    }
    figures[number] = least / ticks_per_ns;
    return NULL;
}

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

/* Ticks of the counter in a nanosecond. */
static double calibrate(void) {
    double start = now_ns(), now;
    uint64_t ticks = before();
    do now = now_ns();
    while (now - start < 5e7);
    return (double)(before() - ticks) / (now - start);
}

/* The counter must go on at one rate whatever the processor does. */
static void check_counter(void) {
    char line[8192];
    FILE *facts = fopen("/proc/cpuinfo", "r");
    if (!facts) die("/proc/cpuinfo cannot be read");
    while (fgets(line, sizeof line, facts))
        if (!strncmp(line, "flags", 5)) {
            if (!strstr(line, " constant_tsc") || !strstr(line, " rdtscp"))
                die("this processor's time-stamp counter has no constant rate, or no rdtscp: nothing to measure with");
            fclose(facts);
            return;
        }
    die("/proc/cpuinfo has no flags");
}

int main(int argc, char **argv) {
    if (argc != 3 || (strcmp(argv[1], "malloc") && strcmp(argv[1], "free"))) {
        fprintf(stderr, "usage: latency malloc|free PERCENT\n");
        return 2;
    }
    of_free = !strcmp(argv[1], "free");
    part = atof(argv[2]) / 100;
    check_counter();
    sched_getaffinity(0, sizeof allowed, &allowed);
    ticks_per_ns = calibrate();
    pthread_barrier_init(&barrier, NULL, THREADS);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, work, (void *)(intptr_t)i)) die("a thread could not be started");
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    double sum = 0;
    for (int i = 0; i < THREADS; i++) sum += figures[i];
    printf("value %.2f\n", sum / THREADS);
    Dl_info info;
    if (dladdr(dlsym(RTLD_DEFAULT, "malloc"), &info)) printf("malloc %s\n", info.dli_fname);
    return 0;
}
