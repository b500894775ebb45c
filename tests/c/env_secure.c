/* behaviour: a program that has more rights than its caller (AT_SECURE) ignores every option of the environment
 * source: getauxval(3) AT_SECURE; ld.so(8) "Secure-execution mode"; glibc manual "Memory Allocation Tunables"
 * ways: linked
 */
/* A tracer sets AT_SECURE on the stack of the new program before its first instruction, which needs neither root nor a
 * file system that honours set-user-ID. The library is linked, since the loader ignores LD_PRELOAD then.
 */
#include "env_run.h"
#include <elf.h>
#include <sys/auxv.h>
#include <sys/ptrace.h>
#include <sys/user.h>

/* A word of the traced program. */
static uintptr_t word(pid_t pid, uintptr_t address)
{
    errno = 0;
    uintptr_t value = ptrace(PTRACE_PEEKDATA, pid, (void *)address, NULL);
    CHECK_EQ(errno, 0);
    return value;
}

/* The stack of a program at its start: argc, arguments, 0, environment, 0, pairs of the auxiliary vector. */
static void make_secure(pid_t pid)
{
    struct user_regs_struct registers;
    CHECK_EQ(ptrace(PTRACE_GETREGS, pid, NULL, &registers), 0);
    uintptr_t at = registers.rsp + 8 * (1 + word(pid, registers.rsp) + 1);
    while (word(pid, at)) at += 8;
    for (at += 8; word(pid, at) != AT_SECURE; at += 16) CHECK(word(pid, at) != AT_NULL);
    CHECK_EQ(ptrace(PTRACE_POKEDATA, pid, (void *)(at + 8), (void *)1), 0);
}

static void run(const char *name, int secure)
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (!pid) {
        CHECK_EQ(setenv("TEST_PART", name, 1), 0);
        CHECK_EQ(setenv("MALLOC_MMAP_THRESHOLD_", "250000", 1), 0);
        CHECK_EQ(setenv("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=250000", 1), 0);
        CHECK_EQ(setenv("BRKMAP_CONF", "mmap_threshold:250000", 1), 0);
        CHECK_EQ(setenv("BRKMAP_MMAP_THRESHOLD", "250000", 1), 0);
        CHECK_EQ(ptrace(PTRACE_TRACEME, 0, NULL, NULL), 0);
        execl("/proc/self/exe", "again", (char *)NULL);
        _exit(127);
    }
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSTOPPED(status));
    if (secure) make_secure(pid);
    CHECK_EQ(ptrace(PTRACE_DETACH, pid, NULL, NULL), 0);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    if (status) check_failed(__FILE__, __LINE__, "the part ends well: ", name);
}

int main(void)
{
    if (part()) {
        int secure = !strcmp(part(), "secure");
        CHECK_EQ(getauxval(AT_SECURE), secure);
        CHECK_EQ(is_mapped(200000), secure);
        CHECK_EQ(is_mapped(300000), 1);
        return 0;
    }
    run("plain", 0);
    run("secure", 1);
    return 0;
}
