/* behaviour: 100000 short threads that allocate leave uordblks and RSS flat; uordblks is above 0 in main
 * source: glibc bug 20116 (thread cache leak); pthread_create(3)
 * timeout: 120
 */
#include "check.h"
#include <malloc.h>
#include <pthread.h>

static void *work(void *argument)
{
    void *first = malloc(24), *second = calloc(1, 700), *third = malloc(3000);
    CHECK(first && second && third);
    free(second);
    free(first);
    free(third);
    return argument;
}

static void *kept[2];
static void *work_and_leave(void *argument)
{
    *(void **)argument = malloc(64);
    return NULL;
}

static void threads(int count)
{
    for (int i = 0; i < count; i++) {
        pthread_t pair[2];
        for (int j = 0; j < 2; j++)
            CHECK_EQ(pthread_create(&pair[j], NULL, i % 8 ? work : work_and_leave, i % 8 ? NULL : &kept[j]), 0);
        for (int j = 0; j < 2; j++) CHECK_EQ(pthread_join(pair[j], NULL), 0);
        if (i % 8 == 0) free(kept[0]), free(kept[1]);
    }
}

int main(void)
{
    void *block = malloc(100);
    CHECK(mallinfo2().uordblks > 0);
    threads(500);
    size_t used = mallinfo2().uordblks;
    long resident = status_kib("VmRSS:");
    threads(49500);
    CHECK(mallinfo2().uordblks <= used + 16384);
    CHECK(status_kib("VmRSS:") <= resident + 2048);
    free(block);
    return 0;
}
