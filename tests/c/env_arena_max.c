/* behaviour: with MALLOC_ARENA_MAX=1, glibc.malloc.arena_max=1 or mallopt(M_ARENA_MAX, 1) the blocks of all threads lie on
 *   the break, and malloc_info shows one heap; a value of 0 is ignored
 * source: mallopt(3) M_ARENA_MAX, malloc_info(3)
 */
#include "env_run.h"
#include <pthread.h>

static pthread_barrier_t together;

static void *work(void *on_break)
{
    void *block = malloc(1000);
    CHECK(block != NULL);
    CHECK_EQ(lies_in(block, "[heap]"), *(int *)on_break);
    pthread_barrier_wait(&together);
    pthread_barrier_wait(&together);
    free(block);
    return NULL;
}

static int heaps(void)
{
    static char text[1 << 20];
    FILE *stream = fmemopen(text, sizeof text, "w");
    CHECK(stream != NULL);
    CHECK_EQ(malloc_info(0, stream), 0);
    fclose(stream);
    int count = 0;
    for (char *at = text; (at = strstr(at, "<heap nr=")); at++) count++;
    return count;
}

int main(void)
{
    if (part()) {
        int on_break = strcmp(part(), "ignored") != 0;
        if (!strcmp(part(), "mallopt")) CHECK_EQ(mallopt(M_ARENA_MAX, 1), 1);
        if (!strcmp(part(), "ignored")) {
            CHECK_EQ(mallopt(M_ARENA_MAX, 0), 1);
            CHECK_EQ(mallopt(M_ARENA_MAX, -1), 1);
        }
        CHECK_EQ(pthread_barrier_init(&together, NULL, 4), 0);
        pthread_t threads[3];
        for (int i = 0; i < 3; i++) CHECK_EQ(pthread_create(&threads[i], NULL, work, &on_break), 0);
        pthread_barrier_wait(&together);
        if (on_break) CHECK_EQ(heaps(), 1);
        pthread_barrier_wait(&together);
        for (int i = 0; i < 3; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
        return 0;
    }
    PASSES("variable", "MALLOC_ARENA_MAX=1");
    PASSES("tunable", "GLIBC_TUNABLES=glibc.malloc.arena_max=1");
    PASSES("mallopt", "MALLOC_ARENA_TEST=1");
    PASSES("ignored", "MALLOC_ARENA_MAX=0");
    return 0;
}
