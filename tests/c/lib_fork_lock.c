/* A companion that holds a mutex of its own around fork, as many libraries do. */
#include <pthread.h>
#include <unistd.h>

pthread_mutex_t lib_fork_lock = PTHREAD_MUTEX_INITIALIZER;

static void hold(void)
{
    pthread_mutex_lock(&lib_fork_lock);
}

static void release(void)
{
    pthread_mutex_unlock(&lib_fork_lock);
}

__attribute__((constructor)) static void start(void)
{
    if (pthread_atfork(hold, release, release)) _exit(3);
}
