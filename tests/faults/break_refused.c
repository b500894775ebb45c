/* behaviour: with brk refused by seccomp, from the start or in mid-life, everything is served from mappings
 * source: brk(2), seccomp(2); sandboxes of services and browsers
 * user: nobody
 * glibc: exempt (glibc takes the error number for a break and crashes)
 */
#include "seccomp.h"
#include <sys/wait.h>

static void in_child(int late, char *name)
{
    static const int calls[] = {SYS_brk};
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (!pid) {
        unsigned char *old = NULL;
        if (late) {
            exercise(NULL);
            old = malloc(50000);
            fill(old, 50000, 1);
        }
        refuse(calls, 1, EPERM);
        if (!late) {
            execl("/proc/self/exe", name, "started", (char *)NULL);
            _exit(127);
        }
        exercise_with_threads();
        CHECK(filled(old, 50000, 1));
        free(old);
        _exit(0);
    }
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        exercise_with_threads();
        return 0;
    }
    in_child(0, argv[0]);
    in_child(1, argv[0]);
    return 0;
}
