/* behaviour: allocation works in the destructors of thread-specific data, in every round of them, and in the first
 *   allocation a thread ever makes
 * source: pthread_key_create(3) (PTHREAD_DESTRUCTOR_ITERATIONS)
 * ways: preload linked
 */
#include "check.h"
#include <limits.h>
#include <pthread.h>

static pthread_key_t keys[8];
static _Thread_local int rounds;
static int total;

static void destroy(void *value)
{
    CHECK(filled(value, 50, 4));
    free(value);
    void *blocks[20];
    for (int i = 0; i < 20; i++) {
        blocks[i] = malloc(i * 300 + 1);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], i, i * 300 + 1);
    }
    for (int i = 0; i < 20; i++) free(blocks[i]);
    __atomic_fetch_add(&total, 1, __ATOMIC_RELAXED);
    if (++rounds < 8 * PTHREAD_DESTRUCTOR_ITERATIONS) {
        void *again = calloc(1, 50);
        CHECK(again != NULL);
        fill(again, 50, 4);
        /* In the last round nobody destroys it any more: that leak is the program's own. */
        CHECK_EQ(pthread_setspecific(keys[rounds % 8], again), 0);
    }
}

static void *work(void *first)
{
    for (int i = 0; i < 8; i++) {
        void *value = malloc(50);
        CHECK(value != NULL);
        fill(value, 50, 4);
        CHECK_EQ(pthread_setspecific(keys[i], value), 0);
    }
    return first;
}

static void *only_in_destructor(void *value)
{
    CHECK_EQ(pthread_setspecific(keys[0], value), 0);
    return NULL;
}

int main(void)
{
    for (int i = 0; i < 8; i++) CHECK_EQ(pthread_key_create(&keys[i], destroy), 0);
    for (int round = 0; round < 200; round++) {
        pthread_t threads[3];
        void *value = malloc(50);
        fill(value, 50, 4);
        for (int i = 0; i < 2; i++) CHECK_EQ(pthread_create(&threads[i], NULL, work, NULL), 0);
        CHECK_EQ(pthread_create(&threads[2], NULL, only_in_destructor, value), 0);
        for (int i = 0; i < 3; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    }
    CHECK(total >= 200 * 17);
    return 0;
}
