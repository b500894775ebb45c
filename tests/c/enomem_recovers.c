/* behaviour: out of memory under RLIMIT_AS is NULL with ENOMEM in every thread and from every call; what is held stays
 *   whole, and after frees allocation works again
 * source: malloc(3) ERRORS; glibc tst-malloc-thread-fail (the contract it states)
 * timeout: 60
 */
#include "check.h"
#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>

#define THREADS 4
#define HELD 4000
static pthread_barrier_t barrier;
static int recovered;

static void *allocate(unsigned turn, size_t size)
{
    void *block = NULL;
    switch (turn % 6) {
    case 0: return malloc(size);
    case 1: return calloc(1, size);
    case 2: return realloc(NULL, size);
    case 3: return memalign(64, size);
    case 4: return aligned_alloc(32, size);
    }
    int code = posix_memalign(&block, 128, size);
    if (code) errno = code;
    return block;
}

static void *work(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;
    static __thread struct { unsigned char *block; size_t size; } held[HELD];
    for (int round = 0; round < 3; round++) {
        int count = 0, refused = 0;
        pthread_barrier_wait(&barrier);
        while (count < HELD && refused < 20) {
            size_t size = 3000 + (count * 7919u + seed) % 60000;
            errno = 0;
            unsigned char *block = allocate(count + refused, size);
            if (!block) {
                CHECK_EQ(errno, ENOMEM);
                refused++;
                continue;
            }
            fill(block, size, seed + count);
            held[count].block = block;
            held[count++].size = size;
        }
        CHECK(refused == 20);
        pthread_barrier_wait(&barrier);
        for (int i = 0; i < count; i++) {
            CHECK(filled(held[i].block, held[i].size, seed + i));
            free(held[i].block);
        }
        pthread_barrier_wait(&barrier);
        void *again = malloc(2000);
        if (again) __atomic_fetch_add(&recovered, 1, __ATOMIC_RELAXED);
        pthread_barrier_wait(&barrier);
        /* Each thread's memory may serve that thread alone, as in glibc. */
        CHECK(recovered > round);
        free(again);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    struct rlimit limit;
    CHECK_EQ(pthread_barrier_init(&barrier, NULL, THREADS), 0);
    for (uintptr_t i = 0; i < THREADS; i++) CHECK_EQ(pthread_create(&threads[i], NULL, work, (void *)(i + 1)), 0);
    CHECK_EQ(getrlimit(RLIMIT_AS, &limit), 0);
    limit.rlim_cur = (size_t)(status_kib("VmSize:") + 64 * 1024) * 1024;
    CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
    for (int i = 0; i < THREADS; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    return 0;
}
