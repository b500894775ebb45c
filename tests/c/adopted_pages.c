/* behaviour: the memory of threads that ended with blocks alive is used again once those are freed: thread after thread,
 *   the process does not grow
 * source: malloc(3) (MT-Safe); glibc reuses the arenas of ended threads
 * timeout: 60
 */
#include "check.h"
#include <pthread.h>

#define BLOCKS 6000
static unsigned char *blocks[BLOCKS];

static void *make(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;
    for (unsigned i = 0; i < BLOCKS; i++) {
        size_t size = 16 + (i * 131 + seed) % 700;
        blocks[i] = malloc(size);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], i & 0xff, size);
    }
    /* Leave holes: pages are handed over partly used. */
    for (unsigned i = 0; i < BLOCKS; i += 2) free(blocks[i]), blocks[i] = NULL;
    return NULL;
}

int main(void)
{
    long early = 0;
    for (unsigned round = 0; round < 300; round++) {
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, make, (void *)(uintptr_t)round), 0);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        for (unsigned i = 1; i < BLOCKS; i += 2) {
            CHECK(all_bytes(blocks[i], 16 + (i * 131 + round) % 700, i & 0xff));
            free(blocks[i]);
        }
        if (round == 20) early = status_kib("VmRSS:");
    }
    CHECK(status_kib("VmRSS:") < early + 4096);
    return 0;
}
