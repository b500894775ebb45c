/* inject CALL ERROR LIBRARY PROGRAM [always]: runs PROGRAM with LIBRARY preloaded and makes each CALL that the library
 * itself issues fail in turn: call 1, 2, 3 … once, then again with every call from that one on. PROGRAM must end with 0
 * every time. Calls of the loader or of libc are let through: only those whose instruction lies in LIBRARY are counted.
 * From 200 calls on, only every k-th is tried, so that the number of runs stays bounded. `always`: one run, in which all
 * of them fail. The error LIES is none: the call answers "done" and does nothing. `shrink` is a brk downwards. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct { const char *name; int number; } calls[] = {
    {"mmap", SYS_mmap}, {"munmap", SYS_munmap}, {"madvise", SYS_madvise}, {"mremap", SYS_mremap},
    {"mprotect", SYS_mprotect}, {"prctl", SYS_prctl}, {"getrandom", SYS_getrandom},
    {"clock_gettime", SYS_clock_gettime}, {"brk", SYS_brk}, {"shrink", SYS_brk}, {"clone", SYS_clone},
};
static const struct { const char *name; int number; } errors[] = {
    {"ENOMEM", ENOMEM}, {"EPERM", EPERM}, {"ENOSYS", ENOSYS}, {"EINVAL", EINVAL}, {"EAGAIN", EAGAIN}, {"LIES", 0},
};

static int call, error = -1, downwards;
static const char *library, *program;

static void fail(const char *what)
{
    perror(what);
    exit(2);
}

static void child(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog list = {sizeof filter / sizeof *filter, filter};
    if (ptrace(PTRACE_TRACEME, 0, 0, 0)) fail("ptrace");
    raise(SIGSTOP);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &list)) fail("seccomp");
    setenv("LD_PRELOAD", library, 1);
    setenv("MALLOC_IN_FORCE", "libbrkmap.so", 1);
    execl(program, program, (char *)NULL);
    fail(program);
}

/* The executable range of the library in this process; empty while it is not mapped. */
static void find_library(pid_t pid, uintptr_t *low, uintptr_t *high)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "re");
    if (!maps) return;
    while (fgets(line, sizeof line, maps)) {
        uintptr_t from, to;
        char mode[8];
        if (!strstr(line, library) || sscanf(line, "%lx-%lx %7s", &from, &to, mode) != 3) continue;
        if (mode[2] == 'x') *low = from, *high = to;
    }
    fclose(maps);
}

/* brk is called by libc on our behalf, so there the caller cannot be told by address; every call counts. */
static int is_ours(pid_t pid, uintptr_t at, uintptr_t *low, uintptr_t *high)
{
    if (!*high) find_library(pid, low, high);
    return call == SYS_brk ? *high != 0 : at >= *low && at < *high;
}

/* One run with call `first` (0: none) failing, and all later ones when `persistent`. Returns the number of calls. */
static unsigned run(unsigned first, int persistent)
{
    unsigned count = 0;
    uintptr_t low = 0, high = 0, end_of_break = 0;
    int status;
    pid_t pid = fork();
    if (pid < 0) fail("fork");
    if (!pid) child();
    if (waitpid(pid, &status, 0) != pid) fail("waitpid");
    if (ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL)) fail("options");
    if (ptrace(PTRACE_CONT, pid, 0, 0)) fail("continue");
    for (;;) {
        pid_t who = waitpid(-1, &status, __WALL);
        if (who < 0) fail("waitpid");
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (who != pid) continue;
            if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return count;
            fprintf(stderr, "%s: failing call %u%s ended the program: status 0x%x\n", program, first,
                    persistent ? " and later ones" : "", status);
            exit(1);
        }
        int signal = WSTOPSIG(status);
        if (status >> 8 == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8)) {
            struct user_regs_struct regs;
            /* Another thread may end the process at this moment; then there is nothing to go on with. */
            if (ptrace(PTRACE_GETREGS, who, 0, &regs)) {
                if (errno == ESRCH) continue;
                fail("registers");
            }
            int meant = call != SYS_brk || (regs.rdi != 0 && (!downwards || regs.rdi < end_of_break));
            if (call == SYS_brk && regs.rdi && !meant) end_of_break = regs.rdi;
            if (meant && is_ours(who, regs.rip, &low, &high)) {
                count++;
                if (first && (count == first || (persistent && count > first))) {
                    /* The kernel refuses to move the break by telling where it is: as if that had been the question. */
                    if (call == SYS_brk) regs.rdi = 0;
                    else regs.orig_rax = -1, regs.rax = -(unsigned long)error;
                    if (ptrace(PTRACE_SETREGS, who, 0, &regs)) {
                        if (errno == ESRCH) continue;
                        fail("registers");
                    }
                }
            }
        }
        int pass = signal != SIGTRAP && signal != SIGSTOP ? signal : 0;
        if (ptrace(PTRACE_CONT, who, 0, pass) && errno != ESRCH) fail("continue");
    }
}

int main(int argc, char **argv)
{
    int always = argc == 6 && !strcmp(argv[5], "always");
    if (argc != 5 + always) return 2;
    downwards = !strcmp(argv[1], "shrink");
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (!strcmp(calls[i].name, argv[1])) call = calls[i].number;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (!strcmp(errors[i].name, argv[2])) error = errors[i].number;
    library = argv[3];
    program = argv[4];
    if (error < 0) return fprintf(stderr, "inject: unknown error %s\n", argv[2]), 2;
    unsigned count = run(always, always);
    if (!count) return fprintf(stderr, "inject: the library makes no %s call in this program\n", argv[1]), 1;
    if (always) return printf("%u calls\n", count), 0;
    unsigned step = count > 200 ? count / 200 + 1 : 1, runs = 0;
    for (unsigned n = 1; n <= count; n += step) {
        run(n, 0);
        run(n, 1);
        runs += 2;
    }
    printf("%u calls, %u runs\n", count, runs);
    return 0;
}
