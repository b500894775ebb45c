/* A companion that registers fork handlers in its constructor, before or after the allocator's own: they allocate. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

int lib_atfork_calls;
static void *held;

static void prepare(void)
{
    held = malloc(333);
    free(malloc(70000));
    lib_atfork_calls++;
}

static void after(void)
{
    free(held);
    free(calloc(1, 3000));
    lib_atfork_calls++;
}

__attribute__((constructor)) static void early(void)
{
    if (pthread_atfork(prepare, after, after)) _exit(3);
}
