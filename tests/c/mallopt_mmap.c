/* behaviour: mallopt takes any M_MMAP_THRESHOLD and M_MMAP_MAX, with effect at once: thresholds above 32 MiB and negative
 *   ones (very large), and a negative number of mappings (none)
 * source: glibc malloc.c (do_set_mmap_threshold, do_set_mmaps_max; sysmalloc compares n_mmaps < n_mmaps_max)
 * ways: preload thread
 */
#include "env_run.h"

int main(void)
{
    CHECK_EQ(is_mapped(50000000), 1);
    CHECK_EQ(mallopt(M_MMAP_THRESHOLD, 60000000), 1);
    CHECK_EQ(is_mapped(50000000), 0);
    CHECK_EQ(is_mapped(61000000), 1);
    CHECK_EQ(mallopt(M_MMAP_THRESHOLD, -1), 1);
    CHECK_EQ(is_mapped(61000000), 0);
    CHECK_EQ(mallopt(M_MMAP_THRESHOLD, 131072), 1);
    CHECK_EQ(is_mapped(1000000), 1);
    CHECK_EQ(mallopt(M_MMAP_MAX, -1), 1);
    CHECK_EQ(is_mapped(10000000), 0);
    CHECK_EQ(mallopt(M_MMAP_MAX, 65536), 1);
    CHECK_EQ(is_mapped(61000000), 1);
    return 0;
}
