/* behaviour: a value that is no number from end to end, or does not fit, is ignored silently, in MALLOC_ variables and in
 *   GLIBC_TUNABLES
 * source: glibc manual "Memory Allocation Tunables"; newer glibc (elf/dl-tunables.c, tunable_parse_num)
 * glibc: exempt (2.36 takes the digits in front of what follows, and 0 where there are none)
 */
#include "env_run.h"

int main(void)
{
    if (part()) {
        CHECK_EQ(is_mapped(120000), 0);
        CHECK_EQ(is_mapped(140000), 1);
        return 0;
    }
    static const char *const values[] = {"", "x", "250000x", "250k", "0x", "08", "- 1", "99999999999999999999999", "\377"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char variable[100], tunable[100], errors[200];
        snprintf(variable, sizeof variable, "MALLOC_MMAP_THRESHOLD_=%s", values[i]);
        snprintf(tunable, sizeof tunable, "GLIBC_TUNABLES=glibc.malloc.mmap_threshold=%s", values[i]);
        CHECK_EQ(run_part("default", VARIABLES(variable), errors, sizeof errors), 0);
        CHECK_EQ(strlen(errors), 0);
        CHECK_EQ(run_part("default", VARIABLES(tunable), errors, sizeof errors), 0);
        CHECK_EQ(strlen(errors), 0);
    }
    return 0;
}
