/* behaviour: with show_stats all statistics are written to stderr when the program exits, and only then: figures, rows of
 *   classes and heaps, system calls
 * source: docs/POLICY.md
 * glibc: exempt (an option of brkmap's own)
 * ways: preload linked
 */
#include "env_run.h"

int main(void)
{
    static const char first[] = "brkmap: statistics at exit of process ";
    char errors[16000];
    if (part()) {
        CHECK(opaque(malloc(1000000)) != NULL);
        if (!strcmp(part(), "early")) _exit(0);
        return 0;
    }
    CHECK_EQ(run_part("exit", VARIABLES("BRKMAP_SHOW_STATS=1"), errors, sizeof errors), 0);
    CHECK_EQ(strncmp(errors, first, sizeof first - 1), 0);
    static const char *const parts[] = {"\n  allocated ", "\n  resident ", "\n  returnable ", "\nsize classes ", "\nheaps: ",
                                        "\nsystem calls\n", "\n  mmap "};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strstr(errors, parts[i])) check_failed(__FILE__, __LINE__, "the statistics have ", parts[i]);
    CHECK_EQ(run_part("exit", VARIABLES("BRKMAP_CONF=stats_print:true"), errors, sizeof errors), 0);
    CHECK_EQ(strncmp(errors, first, sizeof first - 1), 0);
    CHECK_EQ(run_part("early", VARIABLES("BRKMAP_SHOW_STATS=1"), errors, sizeof errors), 0);
    CHECK_EQ(strlen(errors), 0);
    CHECK_EQ(run_part("exit", VARIABLES("BRKMAP_SHOW_STATS=0"), errors, sizeof errors), 0);
    CHECK_EQ(strlen(errors), 0);
    return 0;
}
