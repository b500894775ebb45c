/* behaviour: malloc_stats is not cut short by a pending cancellation, which acts later
 * source: pthreads(7) (malloc_stats is no cancellation point); glibc bug 28407
 */
#include "check.h"
#include <malloc.h>
#include <pthread.h>

static int after_stats;

static void *work(void *argument)
{
    CHECK_EQ(pthread_cancel(pthread_self()), 0);
    malloc_stats();
    after_stats = 1;
    pthread_testcancel();
    return argument;
}

int main(void)
{
    pthread_t thread;
    void *result;
    CHECK_EQ(pthread_create(&thread, NULL, work, NULL), 0);
    CHECK_EQ(pthread_join(thread, &result), 0);
    CHECK(result == PTHREAD_CANCELED);
    CHECK_EQ(after_stats, 1);
    return 0;
}
