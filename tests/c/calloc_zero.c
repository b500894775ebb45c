/* behaviour: calloc is zero on memory that was used before, at every size, after a trim, in any thread, with M_PERTURB on
 * source: calloc(3); mallopt(3) M_PERTURB ("except for calloc")
 * timeout: 60
 * ways: preload thread
 */
#include "check.h"
#include <malloc.h>
#include <pthread.h>

static void dirty_and_look(unsigned seed)
{
    void *blocks[48];
    for (int round = 0; round < 120; round++) {
        for (unsigned i = 0; i < 48; i++) {
            seed = seed * 1664525 + 1013904223;
            size_t size = (seed >> 8) % (round % 20 == 19 ? 600000 : round % 5 == 4 ? 40000 : 900) + 1;
            blocks[i] = malloc(size);
            CHECK(blocks[i] != NULL);
            memset(blocks[i], 0xff, malloc_usable_size(blocks[i]));
        }
        for (unsigned i = 0; i < 48; i++) free(blocks[(i * 29) % 48]);
        if (round % 16 == 7) malloc_trim(0);
        for (unsigned i = 0; i < 48; i++) {
            seed = seed * 1664525 + 1013904223;
            size_t size = (seed >> 8) % (round % 20 == 19 ? 600000 : round % 5 == 4 ? 40000 : 900) + 1;
            blocks[i] = i % 2 ? calloc(1, size) : calloc(size, 1);
            CHECK(blocks[i] != NULL);
            CHECK(all_bytes(blocks[i], size, 0));
            memset(blocks[i], 0xee, size);
        }
        for (unsigned i = 0; i < 48; i++) free(blocks[i]);
    }
}

static void *thread(void *seed)
{
    dirty_and_look((unsigned)(uintptr_t)seed);
    return NULL;
}

int main(void)
{
    dirty_and_look(1);
    pthread_t threads[4];
    for (uintptr_t i = 0; i < 4; i++) CHECK_EQ(pthread_create(&threads[i], NULL, thread, (void *)(i + 7)), 0);
    for (int i = 0; i < 4; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_EQ(mallopt(M_PERTURB, 42), 1);
    dirty_and_look(2);
    return 0;
}
