/* behaviour: MALLOC_MMAP_MAX_ and glibc.malloc.mmap_max bound the number of mappings; values outside 0 to 2147483647 are
 *   ignored
 * source: mallopt(3) M_MMAP_MAX; glibc elf/dl-tunables.list (mmap_max: INT_32, minval 0)
 */
#include "env_run.h"

int main(void)
{
    if (part()) {
        long most = atol(part());
        for (long i = 0; i < 4; i++) CHECK_EQ(is_mapped(10000000), i < most);
        return 0;
    }
    PASSES("0", "MALLOC_MMAP_MAX_=0");
    PASSES("2", "MALLOC_MMAP_MAX_=2");
    PASSES("3", "GLIBC_TUNABLES=glibc.malloc.mmap_max=3");
    PASSES("4", "MALLOC_MMAP_MAX_=-1");
    PASSES("4", "MALLOC_MMAP_MAX_=2147483648");
    PASSES("4", "GLIBC_TUNABLES=glibc.malloc.mmap_max=-1");
    return 0;
}
