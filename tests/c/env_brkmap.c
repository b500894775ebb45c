/* behaviour: BRKMAP_CONF overrides glibc's names, a BRKMAP_ variable overrides BRKMAP_CONF, mallopt overrides all; sizes
 *   have units; `use` picks the mechanism
 * source: docs/POLICY.md
 * glibc: exempt (options of brkmap's own)
 * ways: preload linked
 */
#include "env_run.h"

int main(void)
{
    if (!part()) {
        char *low = "MALLOC_MMAP_THRESHOLD_=150000", *high = "BRKMAP_MMAP_THRESHOLD=250000";
        PASSES("250000", "BRKMAP_CONF=mmap_threshold:250000");
        PASSES("250000", "BRKMAP_CONF=thp:off,mmap_threshold:250k,", low);
        PASSES("250000", low, "GLIBC_TUNABLES=glibc.malloc.mmap_threshold=160000", "BRKMAP_CONF=mmap_threshold:0x3d090");
        PASSES("250000", high, "BRKMAP_CONF=mmap_threshold:1M", low);
        PASSES("mallopt", "BRKMAP_MMAP_THRESHOLD=1M");
        PASSES("brk", "BRKMAP_USE=brk");
        PASSES("mmap", "BRKMAP_CONF=use:mmap");
        PASSES("both", "BRKMAP_USE=brk+mmap");
        return 0;
    }
    void *small = malloc(1000), *large = malloc(20000000);
    CHECK(small != NULL && large != NULL);
    memset(large, 1, 20000000);
    if (!strcmp(part(), "brk")) {
        CHECK(lies_in(small, "[heap]") && lies_in(large, "[heap]"));
        CHECK_EQ(mallinfo2().hblks, 0);
    } else if (!strcmp(part(), "mmap")) {
        CHECK(!lies_in(small, "[heap]") && !lies_in(large, "[heap]"));
        CHECK_EQ(mallinfo2().hblks, 1);
        /* The break is not ours to touch. */
        char *before = sbrk(0);
        for (int i = 0; i < 2000; i++) CHECK(opaque(malloc(i * 20)) != NULL);
        CHECK(sbrk(0) == before);
    } else if (!strcmp(part(), "both")) {
        CHECK(lies_in(small, "[heap]") && !lies_in(large, "[heap]"));
    } else {
        if (!strcmp(part(), "mallopt")) CHECK_EQ(mallopt(M_MMAP_THRESHOLD, 250000), 1);
        CHECK_EQ(is_mapped(200000), 0);
        CHECK_EQ(is_mapped(300000), 1);
    }
    return 0;
}
