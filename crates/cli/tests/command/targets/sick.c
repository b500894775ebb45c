/* One program per illness: gets into the state that its argument names, says "ready", and then answers lines on
 * standard input. It reads its own size without malloc, so that measuring changes nothing.
 *
 *   trim   resident KiB before and after malloc_trim(0)
 *   info   bytes in use by mallinfo2 (mallinfo where there is none): all arenas, and mapped blocks
 *   sum    a sum over its writable memory that brkmap must not change
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB (1024l * 1024)

/* Declared here: the header of another glibc than the one in use may know more or fewer of them. */
extern int malloc_trim(size_t);
extern int mallopt(int, int);
#define M_TRIM_THRESHOLD -1
#define M_MMAP_THRESHOLD -3
struct old_info { int arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost; };
extern struct old_info mallinfo(void);
struct new_info { size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost; };
extern struct new_info mallinfo2(void) __attribute__((weak));

static uint64_t state = 88172645463325252ull;
static uint64_t rnd(void) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state;
}

static void *filled(size_t size) {
    char *block = malloc(size);
    if (!block) abort();
    memset(block, 0x5a, size);
    return block;
}

static long resident_kib(void) {
    static char text[4096];
    int fd = open("/proc/self/smaps_rollup", O_RDONLY);
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    text[got > 0 ? got : 0] = 0;
    char *line = strstr(text, "\nRss:");
    return line ? atol(line + 5) : -1;
}

static void say(const char *format, ...) {
    static char text[256];
    __builtin_va_list list;
    __builtin_va_start(list, format);
    int length = vsnprintf(text, sizeof text, format, list);
    __builtin_va_end(list);
    if (write(1, text, length) < 0) _exit(1);
}

static char *anonymous(long bytes) {
    return mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* Keeps every `keep`th of `count` blocks of `least` to `most` bytes. The table of them lies outside of malloc. */
static void crowd(long count, size_t least, size_t most, long keep) {
    void **all = (void **)anonymous(count * sizeof *all);
    for (long i = 0; i < count; i++) all[i] = filled(least + rnd() % (most - least + 1));
    for (long i = 0; i < count; i++)
        if (keep == 0 || i % keep != 0) free(all[i]);
    munmap(all, count * sizeof *all);
}

static pthread_barrier_t barrier;

static void *worker(void *argument) {
    (void)argument;
    long count = 400000;
    void **all = (void **)anonymous(count * sizeof *all);
    uint64_t own = 0x9e3779b97f4a7c15ull * (uint64_t)(uintptr_t)&own | 1;
    for (long i = 0; i < count; i++) {
        own ^= own << 13, own ^= own >> 7, own ^= own << 17;
        all[i] = filled(16 + own % 240);
    }
    for (long i = 0; i < count; i++)
        if (i % 1000 != 0) free(all[i]);
    munmap(all, count * sizeof *all);
    pthread_barrier_wait(&barrier);
    pause();
    return 0;
}

static void arenas(void) {
    pthread_t thread;
    pthread_barrier_init(&barrier, 0, 5);
    for (int i = 0; i < 4; i++) pthread_create(&thread, 0, worker, 0);
    pthread_barrier_wait(&barrier);
}

static void *leaking(void *argument) {
    (void)argument;
    for (;;) {
        for (int i = 0; i < 2000; i++) filled(64);
        usleep(10000);
    }
}

static void *busy(void *argument) {
    static __thread void *kept[4096];
    uint64_t own = (uint64_t)(uintptr_t)argument * 0x9e3779b97f4a7c15ull | 1;
    for (;;) {
        own ^= own << 13, own ^= own >> 7, own ^= own << 17;
        void **place = &kept[own % 4096];
        free(*place);
        *place = filled(16 + (own >> 20) % ((own >> 50) % 8 == 0 ? 20000 : 500));
    }
}

/* Writes nonsense over malloc's own structures: sizes and links of chunks, the cache of this thread, the lists of the main
 * arena. malloc must not be called afterwards. */
static void forge(char *start, const char *seed) {
    filled(5000);
    char **gap = malloc(5000);
    filled(5000);
    free(gap);
    /* The last in the list of unsorted chunks: behind it stands the arena itself. */
    char **arena = (char **)(gap[1] - 0x60);
    char *end = sbrk(0);
    state ^= strtoul(seed, 0, 10) * 0x9e3779b97f4a7c15ull;
    for (int i = 0; i < 40000; i++) {
        uint64_t *place = (uint64_t *)(start + 0x300 + rnd() % (end - start - 0x400) / 8 * 8);
        switch (rnd() % 5) {
        case 0: *place = rnd(); break;
        case 1: *place = (uint64_t)start + rnd() % (end - start); break;
        case 2: *place = ~(rnd() % 64); break;
        case 3: *place = rnd() % 100000 * 16 + 1; break;
        default: *place ^= 1ull << rnd() % 64;
        }
    }
    /* Counts and heads of the cache; then lists of small free chunks that lead anywhere, and to themselves. */
    for (char **word = (char **)(start + 16); word < (char **)(start + 0x290); word++)
        *word = start + rnd() % (end - start) / 16 * 16;
    for (int list = 0; list < 10; list++) {
        char **chunk = (char **)(start + rnd() % (end - start - 64) / 16 * 16);
        chunk[1] = (char *)(uint64_t)((list + 2) * 16 + 1);
        chunk[2] = (char *)((uint64_t)chunk ^ (uint64_t)(chunk + 2) >> 12);
        arena[2 + list] = (char *)chunk;
    }
}

static void enter(const char *name, const char *file) {
    pthread_t thread;
    if (!strcmp(name, "healthy")) crowd(400000, 100, 200, 1);
    else if (!strcmp(name, "small")) filled(1000);
    else if (!strcmp(name, "leak")) crowd(100000, 64, 64, 1), pthread_create(&thread, 0, leaking, 0);
    else if (!strcmp(name, "fragmented")) crowd(1000000, 64, 160, 25);
    else if (!strcmp(name, "top")) {
        void *all[400];
        mallopt(M_MMAP_THRESHOLD, 32 << 20);
        for (int i = 0; i < 400; i++) all[i] = filled(256 << 10);
        filled(48);
        for (int i = 0; i < 400; i++) free(all[i]);
    }
    else if (!strcmp(name, "fast")) crowd(1200000, 16, 100, 0), filled(48);
    else if (!strcmp(name, "shuffled")) {
        long count = 1000000;
        void **all = (void **)anonymous(count * sizeof *all);
        for (long i = 0; i < count; i++) all[i] = filled(40);
        for (long i = count - 1; i > 0; i--) {
            long other = rnd() % (i + 1);
            void *block = all[i];
            all[i] = all[other], all[other] = block;
        }
        for (long i = 0; i < count; i++) free(all[i]);
        filled(48);
    }
    else if (!strcmp(name, "cached")) mallopt(M_TRIM_THRESHOLD, 1 << 30), crowd(600000, 100, 300, 20000);
    else if (!strcmp(name, "mixed")) crowd(300000, 16, 6000, 37);
    else if (!strcmp(name, "arenas")) arenas();
    else if (!strcmp(name, "mapped")) crowd(40, MIB, 3 * MIB, 1);
    else if (!strcmp(name, "caches")) crowd(300000, 100, 200, 0);
    else if (!strcmp(name, "busy"))
        for (long i = 1; i < 4; i++) pthread_create(&thread, 0, busy, (void *)i);
    else if (!strcmp(name, "foreign")) {
        crowd(50000, 64, 160, 2);
        char *own = sbrk(300000);
        memset(own, 0x11, 300000);
        crowd(500000, 64, 300, 2);
    }
    else if (!strcmp(name, "huge")) {
        char *all = anonymous(130 * MIB);
        all = (char *)(((uintptr_t)all + 2 * MIB - 1) & ~(uintptr_t)(2 * MIB - 1));
        madvise(all, 128 * MIB, MADV_HUGEPAGE);
        for (long at = 0; at < 128 * MIB; at += 2 * MIB) all[at] = 1;
    } else if (!strcmp(name, "lazy")) {
        char *all = anonymous(100 * MIB);
        memset(all, 1, 100 * MIB);
        madvise(all, 90 * MIB, 8 /* MADV_FREE */);
    } else if (!strcmp(name, "shared")) {
        char *all = mmap(0, 80 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        memset(all, 1, 80 * MIB);
    } else if (!strcmp(name, "file")) {
        int fd = open(file, O_RDWR | O_CREAT, 0600);
        if (ftruncate(fd, 80 * MIB)) abort();
        char *all = mmap(0, 80 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        memset(all, 1, 80 * MIB);
    } else if (!strcmp(name, "forged")) {
        char *start = sbrk(0);
        crowd(200000, 16, 300, 3);
        forge(start, file ? file : "1");
    } else if (!strcmp(name, "big")) crowd(7000000, 32, 112, 50);
    else _exit(3);
}

static uint64_t sum(void) {
    /* The break heap is where brkmap looks most. */
    uint64_t total = 0;
    char *end = sbrk(0);
    static char *begin;
    if (!begin) begin = end - 8 * MIB;
    for (uint64_t *at = (uint64_t *)begin; at < (uint64_t *)end; at++) total = total * 31 + *at;
    return total;
}

int main(int count, char **words) {
    enter(count > 1 ? words[1] : "", count > 2 ? words[2] : "");
    say("ready %d\n", getpid());
    char line[64];
    ssize_t got;
    while ((got = read(0, line, sizeof line - 1)) > 0) {
        line[got] = 0;
        if (!strncmp(line, "trim", 4)) {
            long before = resident_kib();
            malloc_trim(0);
            say("%ld %ld\n", before, resident_kib());
        } else if (!strncmp(line, "info", 4)) {
            if (mallinfo2) {
                struct new_info info = mallinfo2();
                say("%zu %zu\n", info.uordblks, info.hblkhd);
            } else {
                struct old_info info = mallinfo();
                say("%u %u\n", (unsigned)info.uordblks, (unsigned)info.hblkhd);
            }
        } else if (!strncmp(line, "sum", 3)) {
            say("%llu\n", (unsigned long long)sum());
        } else if (!strncmp(line, "quit", 4)) {
            break;
        }
    }
    _exit(0);
}
