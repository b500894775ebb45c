/* behaviour: an unknown BRKMAP_ variable, an unknown key in BRKMAP_CONF and a value that makes no sense are named once on
 *   stderr, with the nearest name or the accepted values; the program runs as without them; abort_conf ends it
 * source: docs/POLICY.md
 * glibc: exempt (options of brkmap's own)
 */
#include "env_run.h"
#include <signal.h>

static int says(char *variable, const char *line)
{
    char errors[2000];
    CHECK_EQ(run_part("run", VARIABLES(variable), errors, sizeof errors), 0);
    if (strcmp(errors, line)) {
        fprintf(stderr, "%s says: %s", variable, errors);
        return 0;
    }
    return 1;
}

int main(void)
{
    if (part()) {
        CHECK_EQ(is_mapped(120000), 0);
        CHECK_EQ(is_mapped(140000), 1);
        for (int i = 0; i < 1000; i++) free(malloc(i * 300));
        return 0;
    }
    CHECK(says("BRKMAP_CONF=thp_:1", "brkmap: unknown option \"thp_\": did you mean \"thp\"?\n"));
    CHECK(says("BRKMAP_TRIM_TRESHOLD=1", "brkmap: unknown variable \"BRKMAP_TRIM_TRESHOLD\": did you mean \"BRKMAP_TRIM_THRESHOLD\"?\n"));
    CHECK(says("BRKMAP_CONF=perturb:300", "brkmap: option perturb: \"300\" is out of range; accepted: 0 to 255\n"));
    CHECK(says("BRKMAP_USE=sbrk", "brkmap: option use: \"sbrk\" is no such word; accepted: brk+mmap, brk, mmap\n"));
    CHECK(says("BRKMAP_MMAP_THRESHOLD=abc", "brkmap: option mmap_threshold: \"abc\" is no size; accepted: bytes, with k, M, G "
               "or T (powers of 1024), 0x for hexadecimal, -1 for no bound\n"));
    CHECK(says("BRKMAP_CONF=thp", "brkmap: option \"thp\" has no value; write it as key:value\n"));
    CHECK(says("BRKMAP_MODEL_OPS=1", ""));
    CHECK(says("BRKMAP_OUTPUT=x", ""));
    CHECK(says("BRKMAPPER=1", ""));
    CHECK(says("BRKMAP_CONF=", ""));
    CHECK(says("BRKMAP_VERBOSE=1", "brkmap: settings: none\n"));

    char errors[2000];
    int status = run_part("run", VARIABLES("BRKMAP_CONF=abort_conf:1,walrus:2"), errors, sizeof errors);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    CHECK(strstr(errors, "unknown option \"walrus\"; known: mmap_threshold, ") == errors + 8);
    CHECK(strstr(errors, "\nbrkmap: fatal: ") != NULL);
    return 0;
}
