/* Programs whose system calls for memory are known: argv[1] names one. */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MIB = 1 << 20 };
static const char *self;

__attribute__((noinline)) static char *room(size_t bytes)
{
    return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* Every call once or more, each with a result that is known. */
__attribute__((noinline)) static void known_calls(void)
{
    char *p = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(p, 4 * MIB, MADV_NOHUGEPAGE);
    memset(p, 1, 4 * MIB);
    madvise(p, 2 * MIB, MADV_DONTNEED);
    struct iovec piece = {p + 2 * MIB, MIB};
    int descriptor = syscall(SYS_pidfd_open, getpid(), 0);
    syscall(SYS_process_madvise, descriptor, &piece, 1, MADV_PAGEOUT, 0);
    close(descriptor);
    mprotect(p + 3 * MIB, MIB, PROT_NONE);
    mprotect(p + 3 * MIB, MIB, PROT_READ | PROT_WRITE);
    p = mremap(p, 4 * MIB, 8 * MIB, MREMAP_MAYMOVE);
    munmap(p + 6 * MIB, 2 * MIB);
    munmap(p, 6 * MIB);
    mmap(NULL, 1ul << 60, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap((void *)1, 4096);
    sbrk(MIB);
    sbrk(-MIB);
    mmap(NULL, 2 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    mmap(NULL, 64 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

__attribute__((noinline)) static void *thread_calls(void *unused)
{
    for (int i = 0; i < 50; i++) munmap(room(64 << 10), 64 << 10);
    return unused;
}

__attribute__((noinline)) static void child_calls(int count)
{
    for (int i = 0; i < count; i++) munmap(room(128 << 10), 128 << 10);
}

__attribute__((noinline)) static void family(void)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, thread_calls, NULL);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    pid_t forked = fork();
    if (forked == 0) {
        child_calls(30);
        _exit(0);
    }
    waitpid(forked, NULL, 0);
    pid_t borrowed = vfork();
    if (borrowed == 0) {
        execl(self, self, "child", (char *)NULL);
        _exit(9);
    }
    waitpid(borrowed, NULL, 0);
    execl(self, self, "child", (char *)NULL);
}

__attribute__((noinline)) static void free_large(void *block) { free(block); }

/* Frees that move the mmap threshold, and some that do not. */
__attribute__((noinline)) static void thresholds(void)
{
    char *volatile first = malloc(5 * MIB);
    char *volatile grown = malloc(200 << 10);
    grown = realloc(grown, 12 * MIB);
    free_large(first);
    first = malloc(4 * MIB);
    free_large(grown);
    free_large(malloc(33 * MIB));
    free_large(first);
}

/* Works until it is told to stop, and says so; `-` threads beside. */
static volatile sig_atomic_t is_over;
static void stop(int signal) { (void)signal; is_over = 1; }

__attribute__((noinline)) static void work(void)
{
    char *p = room(MIB);
    memset(p, 1, MIB);
    munmap(p, MIB);
}

static void *work_on(void *unused)
{
    while (!is_over) {
        work();
        usleep(2000);
    }
    return unused;
}

static void serve(void)
{
    signal(SIGUSR1, stop);
    pthread_t beside;
    pthread_create(&beside, NULL, work_on, NULL);
    puts("ready");
    fflush(stdout);
    work_on(NULL);
    pthread_join(beside, NULL);
    puts("over");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    self = argv[0];
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "known")) known_calls();
    else if (!strcmp(what, "family")) family();
    else if (!strcmp(what, "child")) child_calls(20);
    else if (!strcmp(what, "thresholds")) thresholds();
    else if (!strcmp(what, "serve")) serve();
    else if (!strcmp(what, "killed")) { child_calls(10); kill(getpid(), SIGKILL); }
    else if (!strcmp(what, "orphan")) { if (fork() == 0) { usleep(300000); child_calls(40); puts("late"); } else return 3; }
    else return 2;
    return 0;
}
