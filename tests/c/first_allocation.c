/* behaviour: the first allocation of a thread may come from pthread_setspecific, __cxa_thread_atexit_impl or atexit (all
 *   call calloc inside libc) without recursion or loss
 * source: glibc pthread_setspecific.c, cxa_thread_atexit_impl.c, cxa_atexit.c
 */
#include "check.h"
#include <pthread.h>

extern int __cxa_thread_atexit_impl(void (*)(void *), void *, void *);
extern void *__dso_handle;
static pthread_key_t keys[600];
static int destroyed, ended;

static void destroy(void *value)
{
    (void)value;
    free(malloc(77));
    __atomic_fetch_add(&destroyed, 1, __ATOMIC_RELAXED);
}

static void *by_key(void *argument)
{
    /* Keys above the first 32 live in second-level tables, which libc callocs. */
    CHECK_EQ(pthread_setspecific(keys[599], argument), 0);
    CHECK_EQ(pthread_setspecific(keys[40], argument), 0);
    return NULL;
}

static void *by_atexit(void *argument)
{
    for (int i = 0; i < 100; i++) CHECK_EQ(__cxa_thread_atexit_impl(destroy, argument, &__dso_handle), 0);
    return NULL;
}

static void at_end(void)
{
    free(malloc(500));
    ended++;
}

static void *by_process_exit(void *argument)
{
    for (int i = 0; i < 100; i++) CHECK_EQ(atexit(at_end), 0);
    return argument;
}

int main(void)
{
    pthread_t threads[3];
    for (int i = 0; i < 600; i++) CHECK_EQ(pthread_key_create(&keys[i], destroy), 0);
    for (int round = 0; round < 20; round++) {
        CHECK_EQ(pthread_create(&threads[0], NULL, by_key, &round), 0);
        CHECK_EQ(pthread_create(&threads[1], NULL, by_atexit, &round), 0);
        CHECK_EQ(pthread_create(&threads[2], NULL, by_process_exit, NULL), 0);
        for (int i = 0; i < 3; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    }
    CHECK_EQ(destroyed, 20 * 102);
    return 0;
}
