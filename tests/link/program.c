/* What every linked C program does: blocks of all kinds, libc's own allocations, threads, fork, and the proof that the
 * malloc in force is brkmap's. */
#define NO_FORCE_CHECK
#include "../c/check.h"
#include <malloc.h>
#include <pthread.h>
#include <sys/wait.h>

/* C23's. Where libc has none yet, a program that did not get brkmap does not link. */
extern void free_sized(void *block, size_t size);
/* A companion that is linked in, if any. */
extern int companion(void) __attribute__((weak));

static void *work(void *argument)
{
    for (size_t round = 0; round < 200; round++) {
        void *blocks[50];
        for (size_t i = 0; i < 50; i++) {
            blocks[i] = malloc(i * round + 1);
            CHECK(blocks[i] != NULL);
            fill(blocks[i], i * round + 1, i);
        }
        for (size_t i = 0; i < 50; i++) {
            CHECK(filled(blocks[i], i * round + 1, i));
            if (i % 2) free(blocks[i]);
            else free_sized(blocks[i], i * round + 1);
        }
    }
    return strdup(argument);
}

static void on_threads(void)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) CHECK_EQ(pthread_create(&threads[i], NULL, work, "left by a thread"), 0);
    for (int i = 0; i < 4; i++) {
        void *left;
        CHECK_EQ(pthread_join(threads[i], &left), 0);
        CHECK(strcmp(left, "left by a thread") == 0);
        free(left);
    }
}

static void counted(void)
{
    static void *blocks[1000];
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < 1000; i++) blocks[i] = strdup("twenty-three characters");
    size_t during = mallinfo2().uordblks;
    CHECK(during >= before + 24000 && during <= before + 100000);
    for (int i = 0; i < 1000; i++) free(blocks[i]);
    CHECK(mallinfo2().uordblks < during - 20000);
}

static void whole_family(void)
{
    void *block = NULL;
    CHECK_EQ(posix_memalign(&block, 4096, 100), 0);
    CHECK((uintptr_t)block % 4096 == 0);
    free(block);
    block = reallocarray(calloc(10, 10), 100, 100);
    CHECK(block && all_bytes(block, 100, 0) && malloc_usable_size(block) >= 10000);
    block = realloc(block, 1 << 20);
    CHECK(block != NULL);
    free(block);
    free(memalign(256, 10));
    free(aligned_alloc(64, 128));
    free(valloc(1));
    free(pvalloc(1));
    CHECK_EQ(mallopt(M_MMAP_THRESHOLD, 128 << 10), 1);
    malloc_trim(0);
    char *line = NULL;
    size_t room = 0;
    FILE *file = fopen("/proc/self/maps", "re");
    CHECK(file != NULL && getline(&line, &room, file) > 0);
    fclose(file);
    free(line);
}

static void after_fork(void)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        counted();
        on_threads();
        _exit(0);
    }
    int status = -1;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
}

int main(void)
{
    counted();
    whole_family();
    on_threads();
    after_fork();
    if (companion) CHECK_EQ(companion(), 0);
    counted();
    puts("done");
    return 0;
}
