/* behaviour: exit while other threads still allocate and free does not crash or hang
 * source: exit(3)
 * timeout: 60
 */
#include "check.h"
#include <pthread.h>
#include <sys/wait.h>

static void *churn(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;
    void *blocks[32] = {NULL};
    for (;;) {
        seed = seed * 1664525 + 1013904223;
        void **slot = &blocks[seed >> 27];
        free(*slot);
        *slot = malloc((seed >> 8) % ((seed & 15) ? 1000 : 200000));
    }
    return NULL;
}

int main(void)
{
    for (int round = 0; round < 60; round++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (!pid) {
            alarm(60);
            pthread_t thread;
            for (uintptr_t i = 0; i < 3; i++) CHECK_EQ(pthread_create(&thread, NULL, churn, (void *)(i + round)), 0);
            usleep(round * 100);
            exit(0);
        }
        int status;
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK_EQ(status, 0);
    }
    return 0;
}
