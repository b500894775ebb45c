/* behaviour: a program's fork handlers may allocate in all three phases, whether registered before or after the allocator
 *   starts, with other threads at work
 * source: pthread_atfork(3); POSIX 2017 pthread_atfork() rationale
 * preload: lib_atfork
 * ways: preload behind
 */
#include "check.h"
#include <pthread.h>
#include <sys/wait.h>

static volatile int stop;
static void *held;
static int calls;

static void prepare(void)
{
    held = malloc(100000);
    CHECK(held != NULL);
    calls++;
}

static void after(void)
{
    free(held);
    void *block = calloc(10, 1000);
    CHECK(block != NULL && all_bytes(block, 10000, 0));
    free(block);
    calls++;
}

static void *churn(void *argument)
{
    for (unsigned i = 0; !stop; i++) free(malloc(i % 3000));
    return argument;
}

int main(void)
{
    int *early = dlsym(RTLD_DEFAULT, "lib_atfork_calls");
    CHECK(early != NULL);
    CHECK_EQ(pthread_atfork(prepare, after, after), 0);
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) CHECK_EQ(pthread_create(&threads[i], NULL, churn, NULL), 0);
    for (int round = 1; round <= 200; round++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (!pid) {
            alarm(60);
            free(malloc(5000));
            _exit(calls == 2 * round && *early == 2 * round ? 0 : 1);
        }
        int status;
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK_EQ(status, 0);
    }
    stop = 1;
    for (int i = 0; i < 2; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_EQ(calls, 400);
    return 0;
}
