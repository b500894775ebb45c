/* A companion whose constructor waits for a thread that allocates: opened by dlopen_waits. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static void *allocate(void *argument)
{
    free(malloc(100));
    return argument;
}

__attribute__((constructor)) static void start(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, allocate, NULL) || pthread_join(thread, NULL)) _exit(3);
}
