/* behaviour: every variable and every tunable of glibc's malloc is accepted with a valid value, alone and all together, without a
 *   word on stderr; what has no meaning here changes nothing; a tunable of another part of glibc is left alone
 * source: mallopt(3) "Environment variables"; glibc manual "Memory Allocation Tunables"; glibc elf/dl-tunables.list
 * ways: preload linked
 */
#include "env_run.h"

static char *const variables[] = {
    "MALLOC_ARENA_MAX=3", "MALLOC_ARENA_TEST=5", "MALLOC_CHECK_=0", "MALLOC_TOP_PAD_=65536", "MALLOC_PERTURB_=7",
    "MALLOC_MMAP_MAX_=1000", "MALLOC_MMAP_THRESHOLD_=250000", "MALLOC_TRIM_THRESHOLD_=500000",
};
static char *const tunables[] = {
    "arena_max=3", "arena_test=5", "check=0", "top_pad=65536", "perturb=7", "mmap_max=1000", "mmap_threshold=250000",
    "trim_threshold=500000", "mxfast=64", "tcache_count=3", "tcache_max=200", "tcache_unsorted_limit=4", "hugetlb=0",
};

enum { VARIABLES_COUNT = sizeof variables / sizeof *variables, TUNABLES_COUNT = sizeof tunables / sizeof *tunables };

static void runs(char *const *set)
{
    char errors[1000];
    CHECK_EQ(run_part("run", set, errors, sizeof errors), 0);
    if (errors[0]) check_failed(__FILE__, __LINE__, "nothing is said about ", set[0]);
}

int main(void)
{
    if (part()) {
        for (int i = 0; i < 300; i++) {
            size_t size = i * 977 % 200000;
            char *block = i % 2 ? malloc(size) : calloc(1, size);
            CHECK(block != NULL);
            if (i % 2 == 0) CHECK(all_bytes(block, size, 0));
            memset(block, 1, size);
            CHECK((block = realloc(block, size / 2 + 1)) != NULL);
            free(block);
        }
        if (getenv("MALLOC_MMAP_THRESHOLD_") || (getenv("GLIBC_TUNABLES") && strstr(getenv("GLIBC_TUNABLES"), "mmap_threshold=250000"))) {
            CHECK_EQ(is_mapped(200000), 0);
            CHECK_EQ(is_mapped(1000000), 1);
        }
        return 0;
    }
    for (int i = 0; i < VARIABLES_COUNT; i++) runs(VARIABLES(variables[i]));
    char *all[VARIABLES_COUNT + 2] = {NULL}, one[200], list[2000] = "GLIBC_TUNABLES=glibc.rtld.nns=4";
    for (int i = 0; i < TUNABLES_COUNT; i++) {
        snprintf(one, sizeof one, "GLIBC_TUNABLES=glibc.malloc.%s", tunables[i]);
        runs(VARIABLES(one));
        strcat(strcat(list, ":glibc.malloc."), tunables[i]);
    }
    runs(VARIABLES(list));
    for (int i = 0; i < VARIABLES_COUNT; i++) all[i] = variables[i];
    all[VARIABLES_COUNT] = list;
    runs(all);
    return 0;
}
