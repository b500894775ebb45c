/* behaviour: with MALLOC_TRIM_THRESHOLD_=-1, the tunable or mallopt(M_TRIM_THRESHOLD, -1) the break does not go back by
 *   itself, however much is free at the top; malloc_trim still returns it
 * source: mallopt(3) M_TRIM_THRESHOLD, malloc_trim(3)
 */
#include "env_run.h"

static void *blocks[20000];

int main(void)
{
    if (part()) {
        if (!strcmp(part(), "mallopt")) CHECK_EQ(mallopt(M_TRIM_THRESHOLD, -1), 1);
        for (int i = 0; i < 20000; i++) CHECK((blocks[i] = malloc(1000)) != NULL);
        char *top = sbrk(0);
        for (int i = 0; i < 20000; i++) free(blocks[i]);
        for (int i = 0; i < 20; i++) {
            usleep(10000);
            for (int j = 0; j < 300; j++) free(malloc(j * 100));
        }
        CHECK((char *)sbrk(0) >= top);
        CHECK_EQ(malloc_trim(0), 1);
        CHECK(top - (char *)sbrk(0) >= 15 << 20);
        return 0;
    }
    PASSES("variable", "MALLOC_TRIM_THRESHOLD_=-1");
    PASSES("tunable", "GLIBC_TUNABLES=glibc.malloc.trim_threshold=-1");
    PASSES("mallopt", "MALLOC_ARENA_TEST=8");
    return 0;
}
