/* behaviour: exec from a thread while others allocate replaces the process by one that works
 * source: execve(2)
 */
#include "check.h"
#include <pthread.h>

static void *churn(void *argument)
{
    for (unsigned i = 0;; i++) free(malloc(i % 9000));
    return argument;
}

static char *arguments[4];

static void *replace(void *argument)
{
    usleep(2000);
    execv("/proc/self/exe", arguments);
    _exit(127);
    return argument;
}

int main(int argc, char **argv)
{
    int left = argc > 1 ? atoi(argv[1]) : 30;
    char next[16];
    if (left == 0) return 0;
    alarm(60);
    snprintf(next, sizeof next, "%d", left - 1);
    arguments[0] = argv[0];
    arguments[1] = next;
    pthread_t thread;
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_create(&thread, NULL, churn, NULL), 0);
    CHECK_EQ(pthread_create(&thread, NULL, replace, NULL), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    return 1;
}
