/* behaviour: GLIBC_TUNABLES overrides a MALLOC_ variable wherever they stand; of a tunable that is given twice the last one
 *   counts; mallopt overrides both
 * source: glibc elf/dl-tunables.c (__tunables_init: a variable is skipped once its tunable is set), mallopt(3)
 */
#include "env_run.h"

int main(void)
{
    if (part()) {
        int mallopted = !strcmp(part(), "mallopt");
        if (mallopted) CHECK_EQ(mallopt(M_MMAP_THRESHOLD, 250000), 1);
        CHECK_EQ(is_mapped(200000), 0);
        CHECK_EQ(is_mapped(300000), 1);
        return 0;
    }
    char *tunables = "GLIBC_TUNABLES=glibc.malloc.mmap_threshold=250000", *variable = "MALLOC_MMAP_THRESHOLD_=150000";
    PASSES("environment", tunables, variable);
    PASSES("environment", variable, tunables);
    PASSES("environment", "GLIBC_TUNABLES=glibc.malloc.mmap_threshold=150000:glibc.malloc.mmap_threshold=250000");
    PASSES("mallopt", variable, "GLIBC_TUNABLES=glibc.malloc.mmap_threshold=900000");
    return 0;
}
