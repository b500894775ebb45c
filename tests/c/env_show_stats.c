/* behaviour: with show_stats a census is written to stderr when the program exits, and only then
 * source: docs/POLICY.md
 * glibc: exempt (an option of brkmap's own)
 * ways: preload linked
 */
#include "env_run.h"

int main(void)
{
    static const char first[] = "brkmap: statistics at exit of process ";
    char errors[4000];
    if (part()) {
        CHECK(opaque(malloc(1000000)) != NULL);
        if (!strcmp(part(), "early")) _exit(0);
        return 0;
    }
    CHECK_EQ(run_part("exit", VARIABLES("BRKMAP_SHOW_STATS=1"), errors, sizeof errors), 0);
    CHECK_EQ(strncmp(errors, first, sizeof first - 1), 0);
    CHECK(strstr(errors, "in use bytes") != NULL);
    CHECK_EQ(run_part("exit", VARIABLES("BRKMAP_CONF=stats_print:true"), errors, sizeof errors), 0);
    CHECK_EQ(strncmp(errors, first, sizeof first - 1), 0);
    CHECK_EQ(run_part("early", VARIABLES("BRKMAP_SHOW_STATS=1"), errors, sizeof errors), 0);
    CHECK_EQ(strlen(errors), 0);
    CHECK_EQ(run_part("exit", VARIABLES("BRKMAP_SHOW_STATS=0"), errors, sizeof errors), 0);
    CHECK_EQ(strlen(errors), 0);
    return 0;
}
