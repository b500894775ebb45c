/* behaviour: libraries with thread-local data are loaded, used in threads and unloaded again and again (the tables behind
 *   it use malloc); a block survives the library that made it
 * source: dlopen(3); ELF Handling for Thread-Local Storage
 * timeout: 60
 */
#include "check.h"
#include <pthread.h>
#include <sys/stat.h>

#define COPIES 12
static char paths[COPIES][600];
static char *(*make[COPIES])(unsigned);
static pthread_barrier_t barrier;

static void *use(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;
    for (int round = 0; round < 20; round++) {
        pthread_barrier_wait(&barrier);
        for (int i = 0; i < COPIES; i++) {
            char *block = make[(i + seed) % COPIES](100 + i * 50);
            CHECK(block != NULL && all_bytes(block, 100 + i * 50, 1));
            free(block);
        }
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

static void copy(const char *from, const char *to)
{
    char chunk[4096];
    size_t got;
    FILE *in = fopen(from, "re"), *out = fopen(to, "we");
    CHECK(in && out);
    while ((got = fread(chunk, 1, sizeof chunk, in)) > 0) CHECK_EQ(fwrite(chunk, 1, got, out), got);
    fclose(in);
    CHECK_EQ(fclose(out), 0);
}

int main(void)
{
    const char *directory = getenv("TEST_LIBRARIES");
    char source[600];
    CHECK(directory != NULL);
    snprintf(source, sizeof source, "%s/lib_tls.so", directory);
    /* The loader knows a library by its file: copies are libraries of their own. */
    for (int i = 0; i < COPIES; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/tls.%d.%d.so", directory, (int)getpid(), i);
        copy(source, paths[i]);
    }
    pthread_t threads[3];
    CHECK_EQ(pthread_barrier_init(&barrier, NULL, 4), 0);
    for (uintptr_t i = 0; i < 3; i++) CHECK_EQ(pthread_create(&threads[i], NULL, use, (void *)(i * 5)), 0);
    for (int round = 0; round < 20; round++) {
        void *handles[COPIES];
        char *kept = NULL;
        for (int i = 0; i < COPIES; i++) {
            handles[i] = dlopen(paths[i], RTLD_NOW);
            if (!handles[i]) check_failed(__FILE__, __LINE__, "dlopen", dlerror());
            make[i] = dlsym(handles[i], "lib_tls_make");
            CHECK(make[i] != NULL);
        }
        pthread_barrier_wait(&barrier);
        kept = make[0](2000);
        pthread_barrier_wait(&barrier);
        for (int i = 0; i < COPIES; i++) CHECK_EQ(dlclose(handles[i]), 0);
        CHECK(kept != NULL && all_bytes(kept, 2000, 1));
        free(kept);
    }
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < COPIES; i++) CHECK_EQ(unlink(paths[i]), 0);
    return 0;
}
