/* behaviour: a child of _Fork, of the bare system call, and the parent of a vfork child that allocated, may start threads
 *   that allocate: no two threads share a heap
 * source: _Fork(3), vfork(2); POSIX 2024 _Fork()
 * timeout: 60
 */
#include "check.h"
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void *churn(void *argument)
{
    unsigned char tag = (unsigned char)(uintptr_t)argument, *blocks[64] = {0};
    size_t sizes[64];
    for (unsigned i = 0; i < 200000; i++) {
        unsigned k = i % 64;
        if (blocks[k]) {
            CHECK(blocks[k][0] == tag && blocks[k][sizes[k] - 1] == tag);
            free(blocks[k]);
        }
        sizes[k] = 16 + i * 7 % 200;
        CHECK((blocks[k] = malloc(sizes[k])) != NULL);
        memset(blocks[k], tag, sizes[k]);
    }
    for (unsigned k = 0; k < 64; k++) free(blocks[k]);
    return NULL;
}

static void three_threads(void)
{
    pthread_t threads[2];
    for (uintptr_t i = 0; i < 2; i++) CHECK_EQ(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)), 0);
    churn((void *)7);
    for (int i = 0; i < 2; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
}

int main(void)
{
    int status;
    free(malloc(100));
    for (int bare = 0; bare < 2; bare++) {
        pid_t pid = bare ? (pid_t)syscall(SYS_fork) : _Fork();
        CHECK(pid >= 0);
        if (!pid) {
            three_threads();
            _exit(0);
        }
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK_EQ(status, 0);
    }
    pid_t pid = vfork();
    CHECK(pid >= 0);
    if (!pid) {
        void *volatile block = malloc(100);
        (void)block;
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
    three_threads();
    return 0;
}
