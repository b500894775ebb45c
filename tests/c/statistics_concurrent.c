/* behaviour: mallopt, malloc_trim, mallinfo2, malloc_info and malloc_stats may run while other threads allocate
 * source: mallinfo(3), malloc_info(3) and malloc_trim(3) (MT-Safe); glibc manual, "Statistics of Malloc"
 * timeout: 60
 */
#include "check.h"
#include <malloc.h>
#include <pthread.h>

static volatile int stop;

static void *churn(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;
    struct { unsigned char *block; size_t size; } slots[128] = {{NULL, 0}};
    while (!stop) {
        seed = seed * 1664525 + 1013904223;
        unsigned at = seed >> 25;
        if (slots[at].block) CHECK(filled(slots[at].block, slots[at].size, at));
        free(slots[at].block);
        slots[at].size = (seed >> 8) % ((seed & 63) ? 1500 : 200000);
        slots[at].block = malloc(slots[at].size);
        CHECK(slots[at].block != NULL);
        fill(slots[at].block, slots[at].size, at);
    }
    for (int i = 0; i < 128; i++) free(slots[i].block);
    return NULL;
}

int main(void)
{
    FILE *none = fopen("/dev/null", "we");
    CHECK(none != NULL);
    CHECK_EQ(dup2(fileno(none), 2), 2);
    pthread_t threads[3];
    for (uintptr_t i = 0; i < 3; i++) CHECK_EQ(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)), 0);
    for (int i = 0; i < 150; i++) {
        struct mallinfo2 info = mallinfo2();
        CHECK_EQ(info.uordblks + info.fordblks, info.arena);
        CHECK_EQ(malloc_info(0, none), 0);
        malloc_stats();
        malloc_trim(0);
        CHECK_EQ(mallopt(M_MMAP_THRESHOLD, 65536 + i * 1024), 1);
        CHECK_EQ(mallopt(M_TOP_PAD, i * 1024), 1);
    }
    stop = 1;
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    return 0;
}
