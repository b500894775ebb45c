/* behaviour: with purge:free the kernel may keep what was given back until it needs the memory; calloc is zero all the same, and
 *   blocks that were kept are whole. purge:dontneed, the default, gives it back at once
 * source: docs/POLICY.md; madvise(2) MADV_FREE
 * glibc: exempt (options of brkmap's own)
 * timeout: 60
 */
#include "env_run.h"

enum { BLOCKS = 40000 };
static unsigned char *blocks[BLOCKS];

int main(void)
{
    if (!part()) {
        PASSES("free", "BRKMAP_CONF=purge:free,background:off");
        PASSES("dontneed", "BRKMAP_CONF=purge:dontneed");
        PASSES("dontneed", "BRKMAP_PURGE=dontneed");
        return 0;
    }
    long start = status_kib("VmRSS:");
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < BLOCKS; i++) {
            CHECK((blocks[i] = malloc(1000 + round * 700)) != NULL);
            fill(blocks[i], 1000, i);
        }
        for (int i = 0; i < BLOCKS; i++)
            if (i / 10 % 10) free(blocks[i]), blocks[i] = NULL;
        malloc_trim(0);
        if (!strcmp(part(), "dontneed")) CHECK(status_kib("VmRSS:") - start < 20000);
        for (int i = 0; i < BLOCKS; i++) {
            if (blocks[i]) {
                CHECK(filled(blocks[i], 1000, i));
            } else {
                size_t size = i % 500 ? 1000 + round * 700 : 300000;
                CHECK((blocks[i] = calloc(1, size)) != NULL);
                CHECK(all_bytes(blocks[i], size, 0));
            }
            free(blocks[i]);
        }
    }
    return 0;
}
