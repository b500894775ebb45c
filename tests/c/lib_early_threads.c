/* A companion whose constructor starts 32 threads that all allocate at once, before main. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int lib_early_threads_done;
static pthread_barrier_t barrier;

static void *allocate(void *argument)
{
    pthread_barrier_wait(&barrier);
    for (int i = 1; i < 200; i++) {
        char *block = malloc(i * 30);
        if (!block) _exit(4);
        memset(block, i, i * 30);
        free(block);
    }
    __atomic_fetch_add(&lib_early_threads_done, 1, __ATOMIC_RELAXED);
    return argument;
}

__attribute__((constructor)) static void start(void)
{
    pthread_t threads[32];
    if (pthread_barrier_init(&barrier, NULL, 32)) _exit(5);
    for (int i = 0; i < 32; i++)
        if (pthread_create(&threads[i], NULL, allocate, NULL)) _exit(6);
    for (int i = 0; i < 32; i++) pthread_join(threads[i], NULL);
}
