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
            CHECK(mallinfo2().uordblks > 0);
            return 0;
        }
    return strcmp(argv[1], "--list") ? 2 : 0;
}
