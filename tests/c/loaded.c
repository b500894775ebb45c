/* behaviour: the library may be loaded by dlopen into a process with another malloc: its functions work by handle, each
 *   block goes back to the allocator that made it, and dlclose does no harm
 * source: dlopen(3)
 * ways: loaded
 */
#include "check.h"
#include <pthread.h>

static void *(*malloc_)(size_t), *(*calloc_)(size_t, size_t), *(*realloc_)(void *, size_t);
static void (*free_)(void *);

static void *work(void *argument)
{
    unsigned char *blocks[200];
    for (unsigned i = 0; i < 200; i++) {
        blocks[i] = i % 2 ? malloc_(i * 90) : calloc_(1, i * 90);
        CHECK(blocks[i] != NULL);
        fill(blocks[i], i * 90, i);
        free(malloc(i * 90));
    }
    for (unsigned i = 0; i < 200; i++) {
        blocks[i] = realloc_(blocks[i], i * 90 + 50);
        CHECK(blocks[i] != NULL && filled(blocks[i], i * 90, i));
        free_(blocks[i]);
    }
    return argument;
}

int main(void)
{
    const char *path = getenv("BRKMAP_LIBRARY");
    CHECK(path != NULL);
    for (int round = 0; round < 5; round++) {
        void *handle = dlopen(path, RTLD_NOW);
        if (!handle) check_failed(__FILE__, __LINE__, "dlopen: ", dlerror());
        malloc_ = dlsym(handle, "malloc");
        calloc_ = dlsym(handle, "calloc");
        realloc_ = dlsym(handle, "realloc");
        free_ = dlsym(handle, "free");
        CHECK(malloc_ && calloc_ && realloc_ && free_);
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, work, NULL), 0);
        work(NULL);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        CHECK_EQ(dlclose(handle), 0);
    }
    return 0;
}
