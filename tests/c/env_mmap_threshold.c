/* behaviour: MALLOC_MMAP_THRESHOLD_ and glibc.malloc.mmap_threshold set the threshold before the first allocation and end
 *   its dynamics; decimal, 0x hexadecimal, octal after a 0, leading blanks; -1 is the largest size
 * source: mallopt(3) "Environment variables"; glibc manual "Memory Allocation Tunables"; glibc elf/dl-misc.c (_dl_strtoul)
 * ways: preload linked
 */
#include "env_run.h"

static void threshold_is_250000(void)
{
    CHECK_EQ(is_mapped(200000), 0);
    CHECK_EQ(is_mapped(300000), 1);
    free(malloc(5000000));
    CHECK_EQ(is_mapped(4000000), 1);
}

static void nothing_is_mapped(void)
{
    CHECK_EQ(is_mapped(300000), 0);
    CHECK_EQ(is_mapped(30000000), 0);
}

int main(void)
{
    if (part()) {
        if (!strcmp(part(), "250000")) threshold_is_250000();
        else nothing_is_mapped();
        return 0;
    }
    PASSES("250000", "MALLOC_MMAP_THRESHOLD_=250000");
    PASSES("250000", "MALLOC_MMAP_THRESHOLD_=0x3d090");
    PASSES("250000", "MALLOC_MMAP_THRESHOLD_=0X3D090");
    PASSES("250000", "MALLOC_MMAP_THRESHOLD_=0750220");
    PASSES("250000", "MALLOC_MMAP_THRESHOLD_= \t+250000");
    PASSES("250000", "GLIBC_TUNABLES=glibc.malloc.mmap_threshold=250000");
    PASSES("250000", "GLIBC_TUNABLES=glibc.malloc.nonsense=1:glibc.malloc.mmap_threshold=0x3d090:glibc.malloc.mxfast=0");
    PASSES("nothing", "MALLOC_MMAP_THRESHOLD_=-1");
    PASSES("nothing", "GLIBC_TUNABLES=glibc.malloc.mmap_threshold=-1");
    return 0;
}
