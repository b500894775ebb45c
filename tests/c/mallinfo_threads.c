/* behaviour: the statistics count the blocks of every thread, living or gone
 * source: mallinfo(3) (all arenas since glibc 2.3x malloc_info; mallinfo2 sums all arenas)
 */
#include "check.h"
#include <malloc.h>
#include <pthread.h>

static void *blocks[3][1000];

static void *work(void *argument)
{
    for (int i = 0; i < 1000; i++) {
        blocks[(uintptr_t)argument][i] = malloc(1000);
        CHECK(blocks[(uintptr_t)argument][i] != NULL);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[3];
    free(malloc(1));
    size_t before = mallinfo2().uordblks;
    for (uintptr_t i = 0; i < 3; i++) CHECK_EQ(pthread_create(&threads[i], NULL, work, (void *)i), 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK(mallinfo2().uordblks >= before + 3000000);
    for (int t = 0; t < 3; t++)
        for (int i = 0; i < 1000; i++) free(blocks[t][i]);
    CHECK(mallinfo2().uordblks < before + 1000000);
    return 0;
}
