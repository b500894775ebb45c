/* behaviour: where no thread may be made for it memory still goes back, in calls: under RLIMIT_NPROC, under a filter that
 *   refuses clone, and, with background:off, under one that kills for it (which a program with such a filter has to set)
 * source: setrlimit(2) RLIMIT_NPROC; seccomp(2) SECCOMP_RET_KILL_PROCESS; docs/POLICY.md
 * glibc: exempt (nothing goes back by itself)
 * user: nobody
 * timeout: 60
 */
#include "../c/env_run.h"
#include "seccomp.h"
#include <sys/resource.h>

enum { BLOCKS = 32000 };
static void *blocks[BLOCKS];

/* Frees most of 32 MB while some calls go on, as in a program that works on. */
static void shrinks(void)
{
    for (int i = 0; i < BLOCKS; i++) {
        CHECK((blocks[i] = malloc(1000)) != NULL);
        memset(blocks[i], 1, 1000);
    }
    for (int i = 0; i < BLOCKS; i++)
        if (i % 1000) free(blocks[i]);
    int ms = 0;
    for (; ms < 10000 && status_kib("VmRSS:") > 14 << 10; ms += 5) {
        void *some[400];
        for (int i = 0; i < 400; i++) some[i] = malloc(5000);
        for (int i = 0; i < 400; i++) free(some[i]);
        CHECK_EQ(status_kib("Threads:"), 1);
        usleep(5000);
    }
    CHECK(status_kib("VmRSS:") <= 14 << 10);
}

/* Any clone ends the process. */
static void kill_for_clone(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog list = {sizeof filter / sizeof *filter, filter};
    CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    CHECK_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &list), 0);
}

int main(void)
{
    if (!part()) {
        PASSES("nproc", "BRKMAP_BACKGROUND=on");
        PASSES("refused", "BRKMAP_BACKGROUND=on");
        PASSES("killed", "BRKMAP_BACKGROUND=off");
        return 0;
    }
    if (!strcmp(part(), "nproc")) {
        struct rlimit none = {1, 1};
        CHECK_EQ(setrlimit(RLIMIT_NPROC, &none), 0);
    } else if (!strcmp(part(), "refused")) {
        refuse((int[]){SYS_clone}, 1, EPERM);
    } else {
        kill_for_clone();
    }
    shrinks();
    return 0;
}
