/* behaviour: no environment does harm: values of 100,000 bytes, thousands of entries, separators without end, bytes that are no
 *   text, the longest known names with one byte too many. The program runs; under glibc's names nothing is said, under ours a
 *   line per mistake, of bounded length
 * source: execve(2) "Limits on size of arguments and environment"; docs/POLICY.md
 * timeout: 60
 */
#include "env_run.h"

enum { LONG = 100000 };
static char text[LONG + 100], errors[1 << 20];

/* NAME=, and what repeats up to the length. */
static char *made(const char *name, const char *again)
{
    size_t length = (size_t)snprintf(text, sizeof text, "%s=", name), more = strlen(again);
    while (length + more < LONG) {
        memcpy(text + length, again, more);
        length += more;
    }
    text[length] = 0;
    return text;
}

static void survives(const char *name, const char *again)
{
    int ours = !strncmp(name, "BRKMAP", 6);
    CHECK_EQ(run_part("run", VARIABLES(made(name, again)), errors, sizeof errors), 0);
    if (!ours && errors[0]) check_failed(__FILE__, __LINE__, "nothing is said about ", name);
    for (char *line = errors, *end; (end = strchr(line, '\n')); line = end + 1) CHECK(end - line < 400);
}

int main(void)
{
    if (part()) {
        for (int i = 0; i < 1000; i++) free(opaque(malloc(i * 300)));
        return 0;
    }
    static const char *const names[] = {
        "GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_PERTURB_", "MALLOC_ARENA_MAX", "BRKMAP_CONF", "BRKMAP_LIMIT",
        "BRKMAP_USE", "BRKMAP_THISISNONE",
    };
    static const char *const again[] = {
        ":", ",", "=", "a", "9", "\xff\xfe", "x:1,", "glibc.malloc.perturb=", "glibc.malloc.mmap_max=x:", "thp:on,thp:off,", "\n",
        "k", "0x", "-",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (size_t j = 0; j < sizeof again / sizeof *again; j++) survives(names[i], again[j]);
    /* Many entries. */
    static char entries[4000][32];
    static char *many[4001];
    for (int i = 0; i < 4000; i++) {
        snprintf(entries[i], sizeof entries[i], i % 2 ? "MALLOC_NONE%d=1" : "BRKMA%d=1", i);
        many[i] = entries[i];
    }
    CHECK_EQ(run_part("run", many, errors, sizeof errors), 0);
    CHECK_EQ(strlen(errors), 0);
    return 0;
}
