/* behaviour: a thousand threads at once, each with blocks alive, which others free
 * source: malloc(3) (MT-Safe)
 * timeout: 60
 */
#include "check.h"
#include <pthread.h>

#define THREADS 1000
static pthread_barrier_t barrier;
static unsigned char *blocks[THREADS][8];

static void *work(void *argument)
{
    unsigned self = (unsigned)(uintptr_t)argument, other = (self + 1) % THREADS;
    for (unsigned i = 0; i < 8; i++) {
        blocks[self][i] = malloc(100 + i * 400);
        CHECK(blocks[self][i] != NULL);
        fill(blocks[self][i], 100 + i * 400, self + i);
    }
    pthread_barrier_wait(&barrier);
    for (unsigned i = 0; i < 8; i++) {
        CHECK(filled(blocks[other][i], 100 + i * 400, other + i));
        free(blocks[other][i]);
    }
    return NULL;
}

int main(void)
{
    static pthread_t threads[THREADS];
    pthread_attr_t attributes;
    CHECK_EQ(pthread_attr_init(&attributes), 0);
    CHECK_EQ(pthread_attr_setstacksize(&attributes, 65536), 0);
    CHECK_EQ(pthread_barrier_init(&barrier, NULL, THREADS), 0);
    for (int round = 0; round < 3; round++) {
        for (uintptr_t i = 0; i < THREADS; i++) CHECK_EQ(pthread_create(&threads[i], &attributes, work, (void *)i), 0);
        for (int i = 0; i < THREADS; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    }
    return 0;
}
