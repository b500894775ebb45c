/* behaviour: each system call that the allocator can do without may be missing or forbidden from the very start
 * source: seccomp(2); old kernels, container profiles and sandboxes
 * cases: list
 * user: nobody
 */
#include "seccomp.h"

static const struct { const char *name; int call; } calls[] = {
    {"prctl", SYS_prctl}, {"getrandom", SYS_getrandom}, {"clock_gettime", SYS_clock_gettime}, {"madvise", SYS_madvise},
    {"mincore", SYS_mincore},
    {"mremap", SYS_mremap}, {"membarrier", SYS_membarrier}, {"sched_yield", SYS_sched_yield}, {"tgkill", SYS_tgkill},
    {"rseq", SYS_rseq}, {"process_madvise", SYS_process_madvise}, {"getcpu", SYS_getcpu},
};

static char *sparse[16384];

/* Of 16 MiB in small blocks one in eight stays; what is on OS pages of its own goes back, whichever call does it. */
static void trims(int can_purge)
{
    long start = status_kib("VmRSS:");
    for (int i = 0; i < 16384; i++) {
        CHECK((sparse[i] = malloc(1000)) != NULL);
        memset(sparse[i], i % 100 + 1, 1000);
    }
    long full = status_kib("VmRSS:");
    for (int i = 0; i < 16384; i++)
        if (i / 8 % 8) free(sparse[i]);
    malloc_trim(0);
    if (can_purge) CHECK(status_kib("VmRSS:") - start < (full - start) / 2);
    for (int i = 0; i < 16384; i++) {
        if (i / 8 % 8) {
            CHECK((sparse[i] = calloc(1, 1000)) != NULL);
            CHECK(all_bytes(sparse[i], 1000, 0));
        } else {
            CHECK(all_bytes(sparse[i], 1000, i % 100 + 1));
        }
        free(sparse[i]);
    }
}

int main(int argc, char **argv)
{
    CHECK(argc >= 2);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        for (int error = 0; error < 2; error++) {
            char name[64];
            snprintf(name, sizeof name, "%s-%s", calls[i].name, error ? "EPERM" : "ENOSYS");
            if (!strcmp(argv[1], "--list")) puts(name);
            if (strcmp(argv[1], name)) continue;
            if (argc == 2) {
                refuse(&calls[i].call, 1, error ? EPERM : ENOSYS);
                execl("/proc/self/exe", argv[0], name, "refused", (char *)NULL);
                _exit(127);
            }
            exercise_with_threads();
            trims(calls[i].call != SYS_madvise);
            CHECK(mallinfo2().uordblks > 0);
            return 0;
        }
    return strcmp(argv[1], "--list") ? 2 : 0;
}
