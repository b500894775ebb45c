/* behaviour: a library that takes a mutex of its own in a fork handler, and allocates while it holds that mutex, does not
 *   deadlock with the allocator: the allocator's handler runs after the library's
 * source: pthread_atfork(3), "RATIONALE" of POSIX 2017; glibc locks malloc after all prepare handlers
 * preload: lib_fork_lock
 * ways: preload behind
 */
#include "check.h"
#include <pthread.h>
#include <sys/wait.h>

static volatile int stop;
static pthread_mutex_t *lock;

static void *allocate_inside(void *argument)
{
    while (!stop) {
        pthread_mutex_lock(lock);
        void *volatile first = malloc(100000);
        void *volatile second = malloc(70000);
        free(first);
        free(second);
        pthread_mutex_unlock(lock);
    }
    return argument;
}

int main(void)
{
    pthread_t threads[2];
    lock = dlsym(RTLD_DEFAULT, "lib_fork_lock");
    CHECK(lock != NULL);
    for (int i = 0; i < 2; i++) CHECK_EQ(pthread_create(&threads[i], NULL, allocate_inside, NULL), 0);
    for (int i = 0; i < 200; i++) {
        int status;
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (!pid) _exit(0);
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK_EQ(status, 0);
    }
    stop = 1;
    for (int i = 0; i < 2; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    return 0;
}
