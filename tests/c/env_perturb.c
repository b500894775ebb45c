/* behaviour: M_PERTURB, MALLOC_PERTURB_ and glibc.malloc.perturb: fresh blocks hold the complement of the byte, freed ones
 *   the byte; calloc still yields zeros; 0 ends it
 * source: mallopt(3) M_PERTURB; glibc manual "Malloc Tunable Parameters"
 * ways: preload linked
 */
#include "env_run.h"

/* glibc does not perturb what its thread caches hold, and keeps two words of a freed block for its lists: the blocks are
 * larger than those it caches, and their first 32 bytes are not looked at. */
enum { SIZE = 5000, HEAD = 32 };

static void blocks_hold(unsigned char fresh, unsigned char freed)
{
    for (int round = 0; round < 20; round++) {
        unsigned char *block = malloc(SIZE), *guard = malloc(SIZE);
        CHECK(block && guard);
        CHECK(all_bytes(block, SIZE, fresh));
        memset(block, 0x11, SIZE);
        free(block);
        CHECK(all_bytes(block + HEAD, SIZE - HEAD - 16, freed));
        unsigned char *zeros = calloc(SIZE, 1);
        CHECK(zeros != NULL);
        CHECK(all_bytes(zeros, SIZE, 0));
        zeros = realloc(zeros, 3 * SIZE);
        CHECK(zeros != NULL);
        CHECK(all_bytes(zeros, SIZE, 0));
        free(zeros);
        free(guard);
    }
}

int main(void)
{
    if (part()) {
        blocks_hold(255 - 42, 42);
        return 0;
    }
    PASSES("environment", "MALLOC_PERTURB_=42");
    PASSES("environment", "GLIBC_TUNABLES=glibc.malloc.perturb=42");
    free(malloc(SIZE));
    CHECK_EQ(mallopt(M_PERTURB, 7), 1);
    blocks_hold(255 - 7, 7);
    CHECK_EQ(mallopt(M_PERTURB, 0), 1);
    unsigned char *block = malloc(SIZE);
    CHECK(block != NULL);
    memset(block, 0x22, SIZE);
    free(block);
    block = malloc(SIZE);
    CHECK(block != NULL && !all_bytes(block + HEAD, SIZE - HEAD, 255 - 7));
    free(block);
    return 0;
}
