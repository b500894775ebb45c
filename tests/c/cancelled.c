/* behaviour: cancelling a thread that allocates leaves no lock held and loses nothing of other threads
 * source: pthreads(7), "Cancellation points" (malloc is none)
 * timeout: 60
 */
#include "check.h"
#include <pthread.h>

static void release(void *slot) { free(*(void **)slot); }

static void *victim(void *argument)
{
    void *block = NULL;
    pthread_cleanup_push(release, &block);
    for (unsigned i = 0;; i++) {
        block = malloc(i % 4000);
        CHECK(block != NULL);
        free(block);
        block = NULL;
        if (i % 64 == 0) pthread_testcancel();
    }
    pthread_cleanup_pop(0);
    return argument;
}

int main(void)
{
    for (int round = 0; round < 300; round++) {
        pthread_t threads[2];
        void *result;
        for (int i = 0; i < 2; i++) CHECK_EQ(pthread_create(&threads[i], NULL, victim, NULL), 0);
        void *block = malloc(round * 100);
        CHECK(block != NULL);
        if (round % 3 == 0) usleep(300);
        for (int i = 0; i < 2; i++) CHECK_EQ(pthread_cancel(threads[i]), 0);
        for (int i = 0; i < 2; i++) {
            CHECK_EQ(pthread_join(threads[i], &result), 0);
            CHECK(result == PTHREAD_CANCELED);
        }
        free(block);
    }
    return 0;
}
