/* behaviour: _Fork in a threaded process runs no handlers, and a child that only makes async-signal-safe calls goes on;
 *   in a single-threaded one the child may allocate
 * source: POSIX 2024 _Fork(); glibc 2.34 NEWS
 * timeout: 60
 */
#include "check.h"
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static volatile int stop;

static void *churn(void *argument)
{
    for (unsigned i = 0; !stop; i++) free(malloc(i % 7000));
    return argument;
}

static void wait_for(pid_t pid)
{
    int status;
    CHECK(pid > 0);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
}

int main(void)
{
    for (int i = 0; i < 100; i++) {
        pid_t pid = _Fork();
        if (!pid) {
            alarm(60);
            void *block = malloc(2000 + i);
            free(block);
            _exit(block ? 0 : 1);
        }
        wait_for(pid);
    }
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) CHECK_EQ(pthread_create(&threads[i], NULL, churn, NULL), 0);
    for (int i = 0; i < 300; i++) {
        pid_t pid = _Fork();
        if (!pid) {
            alarm(60);
            if (write(-1, "", 1) != -1) _exit(1);
            _exit(0);
        }
        free(malloc(i * 10));
        wait_for(pid);
    }
    stop = 1;
    for (int i = 0; i < 2; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    return 0;
}
