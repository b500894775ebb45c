/* behaviour: MALLOC_TOP_PAD_, glibc.malloc.top_pad and mallopt(M_TOP_PAD) move the break further than needed, from the next
 *   move on
 * source: mallopt(3) M_TOP_PAD
 */
#include "env_run.h"

int main(void)
{
    if (part()) {
        char *block = malloc(1000);
        CHECK(block != NULL);
        if (!strcmp(part(), "mallopt")) {
            CHECK_EQ(mallopt(M_TOP_PAD, 8 << 20), 1);
            /* Until the break has moved again. */
            for (int i = 0; i < 200; i++) CHECK(opaque(malloc(10000)) != NULL);
        }
        char *before = sbrk(0);
        CHECK(before - block >= 4 << 20);
        for (int i = 0; i < 300; i++) CHECK(opaque(malloc(10000)) != NULL);
        CHECK(sbrk(0) == before);
        return 0;
    }
    PASSES("variable", "MALLOC_TOP_PAD_=8388608");
    PASSES("tunable", "GLIBC_TUNABLES=glibc.malloc.top_pad=0x800000");
    PASSES("mallopt", "MALLOC_ARENA_TEST=8");
    return 0;
}
