/* giveback: how much of what was freed is resident still, while the program does nothing.
 *
 *     giveback random|single|threads|handed
 *
 *     random    1 GiB in blocks of 64 to 4096 bytes; 90 % of them, drawn at random, are freed
 *     single    the same blocks; all but the last are freed
 *     threads   4 threads with about 150 MiB each; each frees 46 of 47 of its own blocks, then sleeps
 *     handed    the same, but each thread frees the blocks of its neighbour
 *
 * It prints "rss SECONDS MIB" lines, the resident size over the one at the start; second 0 is the end of the frees,
 * and the first line is the state before them. Then "trimmed MIB", the size after malloc_trim(0), "value MIB", the size
 * at one second, and "malloc PATH", the object whose malloc it was. What was kept must hold what was written to it.
 * The program's own arrays are mapped and touched before the start is measured. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 4, SAMPLES = 20, SAMPLE_MS = 50 };

struct block {
    unsigned char *at;
    uint32_t size;
    uint32_t seed;
};

static struct block *blocks;
static size_t count;
static double base_mib;

static void die(const char *what) {
    fprintf(stderr, "giveback: %s\n", what);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

/* Read without stdio, whose buffers would be allocated. */
static double resident_mib(void) {
    char text[256];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length <= 0) die("/proc/self/statm could not be read; mount /proc");
    text[length] = 0;
    char *pages = strchr(text, ' ');
    return pages ? strtod(pages, NULL) * (double)sysconf(_SC_PAGESIZE) / (1 << 20) : 0;
}

static uint32_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 11);
}

static void make(struct block *block, uint32_t size, uint32_t seed) {
    *block = (struct block){malloc(size), size, seed};
    if (!block->at) die("malloc gave nothing; about 1.2 GiB of memory are needed");
    memset(block->at, (int)(seed & 0xff), size);
}

static void drop(struct block *block) {
    free(block->at);
    block->at = NULL;
}

static void check_kept(void) {
    for (size_t i = 0; i < count; i++)
        for (uint32_t j = 0; blocks[i].at && j < blocks[i].size; j++)
            if (blocks[i].at[j] != (blocks[i].seed & 0xff)) die("a block that was kept lost its contents");
}

/* The state before the frees, then one line now and one every SAMPLE_MS, to one second; then the trim. */
static void watch(double full_mib, double began) {
    static double at[SAMPLES + 1], mib[SAMPLES + 1];
    double freed = now();
    for (int i = 0; i <= SAMPLES; i++) {
        double due = freed + i * SAMPLE_MS / 1e3, left = due - now();
        if (left > 0) usleep((useconds_t)(left * 1e6));
        at[i] = now() - freed;
        mib[i] = resident_mib() - base_mib;
    }
    malloc_trim(0);
    double trimmed = resident_mib() - base_mib;
    printf("rss %.3f %.2f\n", began - freed, full_mib);
    for (int i = 0; i <= SAMPLES; i++) printf("rss %.3f %.2f\n", at[i], mib[i]);
    printf("trimmed %.2f\nvalue %.2f\n", trimmed, mib[SAMPLES]);
}

static void one_thread(int keep_one) {
    uint64_t random = 88172645463325252u;
    for (size_t bytes = 0; bytes < (size_t)1 << 30; bytes += blocks[count++].size)
        make(&blocks[count], 64 + next_random(&random) % 4033, (uint32_t)count);
    double full = resident_mib() - base_mib, began = now();
    for (size_t i = 0; i < count; i++)
        if (keep_one ? i != count - 1 : next_random(&random) % 10 != 0) drop(&blocks[i]);
    watch(full, began);
}

enum { PER_THREAD = 186000 };
static pthread_barrier_t barrier;
static int hand_over;

static void *worker(void *argument) {
    size_t me = (size_t)argument, whose = hand_over ? (me + 1) % THREADS : me;
    uint64_t random = me * 7919 + 1;
    struct block *mine = blocks + me * PER_THREAD, *to_free = blocks + whose * PER_THREAD;
    for (uint32_t i = 0; i < PER_THREAD; i++) make(&mine[i], 100 + next_random(&random) % 1500, i + (uint32_t)me);
    pthread_barrier_wait(&barrier); /* full */
    pthread_barrier_wait(&barrier); /* measured */
    for (size_t i = 0; i < PER_THREAD; i++)
        if (next_random(&random) % 47 != 0) drop(&to_free[i]);
    pthread_barrier_wait(&barrier); /* freed */
    pthread_barrier_wait(&barrier); /* watched */
    return NULL;
}

static void four_threads(int handed) {
    pthread_t threads[THREADS];
    hand_over = handed;
    count = (size_t)THREADS * PER_THREAD;
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (size_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, worker, (void *)i) != 0) die("a thread could not be started");
    pthread_barrier_wait(&barrier);
    double full = resident_mib() - base_mib, began = now();
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    watch(full, began);
    check_kept();
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

int main(int argc, char **argv) {
    const char *name = argc == 2 ? argv[1] : "";
    size_t room = sizeof *blocks << 20;
    blocks = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (blocks == MAP_FAILED) die("no memory for the table of blocks");
    memset(blocks, 0, room);
    base_mib = resident_mib();
    if (!strcmp(name, "random")) one_thread(0);
    else if (!strcmp(name, "single")) one_thread(1);
    else if (!strcmp(name, "threads")) four_threads(0);
    else if (!strcmp(name, "handed")) four_threads(1);
    else {
        fprintf(stderr, "usage: giveback random|single|threads|handed\n");
        return 2;
    }
    check_kept();
    Dl_info info;
    if (dladdr(dlsym(RTLD_DEFAULT, "malloc"), &info)) printf("malloc %s\n", info.dli_fname);
    return 0;
}
