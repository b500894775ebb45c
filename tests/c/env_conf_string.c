/* behaviour: a program may bring options as a string of its own, `const char *brkmap_conf`; the environment overrides it
 * source: docs/POLICY.md
 * glibc: exempt (an option of brkmap's own)
 * flags: -rdynamic
 * ways: preload linked
 */
#include "env_run.h"

const char *brkmap_conf = "mmap_threshold:250000";

int main(void)
{
    if (part()) {
        CHECK_EQ(is_mapped(300000), 0);
        CHECK_EQ(is_mapped(600000), 1);
        return 0;
    }
    CHECK_EQ(is_mapped(200000), 0);
    CHECK_EQ(is_mapped(300000), 1);
    PASSES("variable", "MALLOC_MMAP_THRESHOLD_=500000");
    PASSES("list", "BRKMAP_CONF=mmap_threshold:500000");
    return 0;
}
