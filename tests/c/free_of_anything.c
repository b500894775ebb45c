/* behaviour: free of any address in any mapping of the process, of the library's own data too, and of any 64-bit value ends
 *   in the message and SIGABRT, never in a crash of the allocator; in anonymous memory it may meet a live block
 * source: the project's error contract (docs/ARCHITECTURE.md)
 * glibc: exempt (glibc reads the header in front of the pointer and crashes where there is none)
 * timeout: 120
 */
#include "core.h"
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static char maps[1 << 16];
static uintptr_t seed = 88172645463325252ul;

static int silent;

static uintptr_t next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static void one(uintptr_t address, int call, int may_be_block)
{
    int status;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (!pid) {
        alarm(60);
        if (dup2(silent, 2) != 2) _exit(1);
        void *pointer = opaque((void *)address);
        if (call == 0) free(pointer);
        else if (realloc(pointer, 50) == pointer) _exit(42);
        _exit(42);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) return;
    if (may_be_block && WIFEXITED(status) && WEXITSTATUS(status) == 42) return;
    char place[100];
    snprintf(place, sizeof place, "call %d with %#lx, status %#x", call, address, status);
    check_failed(__FILE__, __LINE__, "it ends with SIGABRT: ", place);
}

static void *churn(void *argument)
{
    for (int i = 0; i < 100; i++) free(malloc(i * 900));
    return argument;
}

int main(void)
{
    no_core();
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, churn, NULL), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    void *blocks[] = {malloc(100), malloc(20000), malloc(100000), malloc(400000), malloc(5000000)};
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    silent = open("/dev/null", O_WRONLY);
    size_t length = 0;
    ssize_t got;
    while ((got = read(fd, maps + length, sizeof maps - 1 - length)) > 0) length += got;
    CHECK(length > 0 && silent >= 0);
    for (char *line = maps; *line; line = strchr(line, '\n') + 1) {
        uintptr_t low = strtoul(line, &line, 16), high = strtoul(line + 1, &line, 16);
        char *end = strchr(line, '\n');
        int anonymous = memchr(line, '/', end - line) == NULL && memchr(line, '[', end - line) == NULL;
        anonymous |= memmem(line, end - line, "[heap]", 6) != NULL || memmem(line, end - line, "[anon", 5) != NULL;
        uintptr_t at[] = {low, low + 16, low + 64, low + 4096 - 16, (low + high) / 2, high - 16, low + next() % (high - low)};
        for (size_t i = 0; i < sizeof at / sizeof *at; i++) one(at[i], i % 2, anonymous);
    }
    for (int i = 0; i < 5; i++)
        for (int bit = 0; bit < 64; bit++) one((uintptr_t)blocks[i] ^ (uintptr_t)1 << bit, 0, bit > 3 && bit < 47);
    for (int i = 0; i < 300; i++) one(next() >> next() % 60 | 1, i % 2, 0);
    for (int i = 0; i < 5; i++) free(blocks[i]);
    return 0;
}
