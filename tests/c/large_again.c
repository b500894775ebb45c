/* behaviour: a block of 64 MiB goes back to the kernel at once when a block of its size is freed for the first time; later ones
 *   may be kept for the next of their size, but never past one second of idleness, malloc_trim, or the setting of
 *   M_MMAP_THRESHOLD; a kept one is no live block (a second free ends the program), serves no calloc with old contents, and
 *   is whole after fork, realloc and use by several threads
 * source: docs/POLICY.md; mallopt(3); malloc_trim(3)
 * cases: list
 * timeout: 60
 * alone: it waits for what a thread of the library does in its own time
 */
#include "check.h"
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define MIB ((size_t)1 << 20)
#define BYTES (64 * MIB)
enum { PAGE = 4096 };

static int is_mapped(void *at)
{
    unsigned char in_memory;
    return mincore((void *)((uintptr_t)at & ~(uintptr_t)(PAGE - 1)), PAGE, &in_memory) == 0;
}

static unsigned char *touched(size_t bytes, int value)
{
    unsigned char *block = malloc(bytes);
    CHECK(block != NULL);
    memset(block, value, bytes);
    return block;
}

static long rss_kib(void)
{
    return status_kib("VmRSS:");
}

/* Twice: from then on a free of that size may keep the mapping. */
static void make_known(size_t bytes)
{
    for (int i = 0; i < 2; i++) free(opaque(touched(bytes, 1)));
}

static void first_free(void)
{
    for (size_t bytes = BYTES; bytes < 2 * BYTES; bytes += 7 * MIB) {
        long before = rss_kib();
        unsigned char *block = touched(bytes, 1);
        CHECK(rss_kib() - before > (long)(bytes >> 10) / 2);
        free(opaque(block));
        CHECK(rss_kib() - before < 4096);
        CHECK(!is_mapped(block) && !is_mapped(block + bytes / 2));
    }
}

static void idle(void)
{
    long before = rss_kib();
    make_known(BYTES);
    for (int i = 0; i < 20; i++) free(opaque(touched(BYTES, i)));
    /* How soon is for the simulated clock to say; here a busy machine may let the other thread wait. */
    for (int ms = 0; ms < 10000 && rss_kib() - before >= 4096; ms += 10) usleep(10000);
    CHECK(rss_kib() - before < 4096);
}

static void trim(void)
{
    long before = rss_kib();
    make_known(BYTES);
    malloc_trim(0);
    CHECK(rss_kib() - before < 4096);
}

static void set_threshold(void)
{
    make_known(BYTES);
    CHECK_EQ(mallopt(M_MMAP_THRESHOLD, 1 << 20), 1);
    for (int i = 0; i < 3; i++) {
        unsigned char *block = touched(BYTES, i);
        free(opaque(block));
        CHECK(!is_mapped(block));
    }
}

static void zeroed(void)
{
    make_known(BYTES);
    for (int i = 0; i < 3; i++) {
        unsigned char *block = calloc(1, BYTES);
        CHECK(block != NULL && all_bytes(block, BYTES, 0));
        memset(block, 7, BYTES);
        free(opaque(block));
        free(opaque(touched(BYTES, 3)));
    }
}

static void resized(void)
{
    make_known(BYTES);
    for (size_t bytes = BYTES / 4; bytes <= 2 * BYTES; bytes += BYTES / 4) {
        unsigned char *block = touched(BYTES, 5);
        block = realloc(block, bytes);
        CHECK(block != NULL && all_bytes(block, bytes < BYTES ? bytes : BYTES, 5));
        CHECK_EQ(malloc_usable_size(block) >= bytes, 1);
        memset(block, 6, bytes);
        free(opaque(block));
        unsigned char *aligned = aligned_alloc(2 * MIB, BYTES);
        CHECK(aligned != NULL && (uintptr_t)aligned % (2 * MIB) == 0);
        memset(aligned, 9, BYTES);
        free(opaque(aligned));
    }
}

static void forked(void)
{
    make_known(BYTES);
    unsigned char *block = touched(BYTES, 8);
    free(opaque(touched(BYTES, 9)));
    for (int i = 0; i < 4; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            CHECK(all_bytes(block, BYTES, 8));
            free(opaque(touched(BYTES, 1)));
            free(block);
            free(opaque(touched(BYTES, 2)));
            _exit(0);
        }
        free(opaque(touched(BYTES, 9)));
        int status;
        CHECK(waitpid(child, &status, 0) == child && status == 0);
        CHECK(all_bytes(block, BYTES, 8));
    }
}

static void *taker(void *argument)
{
    int value = (int)(uintptr_t)argument;
    for (int i = 0; i < 60; i++) {
        size_t bytes = 33 * MIB + (size_t)(i % 2) * PAGE;
        unsigned char *block = malloc(bytes);
        CHECK(block != NULL);
        for (size_t at = 0; at < bytes; at += 16 * PAGE) block[at] = (unsigned char)value;
        for (size_t at = 0; at < bytes; at += 16 * PAGE) CHECK_EQ(block[at], value);
        free(block);
        if (i % 16 == 5) malloc_trim(0);
    }
    return NULL;
}

static void threads(void)
{
    pthread_t all[4];
    for (size_t i = 0; i < 4; i++) CHECK_EQ(pthread_create(&all[i], NULL, taker, (void *)(i + 1)), 0);
    for (size_t i = 0; i < 4; i++) CHECK_EQ(pthread_join(all[i], NULL), 0);
}

/* The child frees twice; it must end by SIGABRT (a fault is what glibc's header, unmapped by then, makes of it). */
static void twice(void)
{
    for (int inside = 0; inside < 2; inside++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            make_known(BYTES);
            unsigned char *block = touched(BYTES, 4);
            free(opaque(block));
            free(opaque(block + (inside ? 5 * MIB : 0)));
            _exit(0);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
        CHECK(WTERMSIG(status) == SIGABRT || (WTERMSIG(status) == SIGSEGV && !getenv("LD_PRELOAD")));
    }
}

static const struct { const char *name; void (*run)(void); } cases[] = {
    {"first_free", first_free}, {"idle", idle}, {"trim", trim}, {"set_threshold", set_threshold}, {"zeroed", zeroed},
    {"resized", resized}, {"forked", forked}, {"threads", threads}, {"twice", twice},
};

int main(int argc, char **argv)
{
    CHECK_EQ(argc, 2);
    int found = !strcmp(argv[1], "--list");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!strcmp(argv[1], "--list")) puts(cases[i].name);
        if (strcmp(argv[1], cases[i].name)) continue;
        cases[i].run();
        found = 1;
    }
    return found ? 0 : 2;
}
