/* Walks one call of an allocation function instruction by instruction, after a warm-up that makes it the common case.
 *
 *     steps PATH LIBRARY
 *
 * PATH is one of the rows of fast_path.txt. For each instruction that the call executes it prints where the instruction
 * lies, as an offset in LIBRARY; what lies elsewhere (libc's memset for calloc) is one line "other". The call is made by a
 * forked child and watched by ptrace, so neither the warm-up nor this program's own calls are in the list. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WARM = 100, MOST = 100000 };

static void *(*volatile do_malloc)(size_t);
static void (*volatile do_free)(void *);
static void *(*volatile do_calloc)(size_t, size_t);
static void *(*volatile do_realloc)(void *, size_t);
static size_t (*volatile do_usable)(void *);
static void (*volatile do_pair)(void);

static void fail(const char *what) {
    fprintf(stderr, "steps: %s: %s\n", what, errno ? strerror(errno) : "no such thing");
    exit(1);
}

static void *symbol(void *library, const char *name) {
    errno = 0;
    void *found = dlsym(library, name);
    if (!found) fail(name);
    return found;
}

/* The child: warms up, stops, makes the one call. */
static void call(const char *path) {
    void *kept[WARM];
    for (int i = 0; i < WARM; i++) kept[i] = do_malloc(64);
    for (int i = 0; i < WARM; i++) do_free(kept[i]);
    for (int i = 0; i < WARM; i++) do_free(do_malloc(i % 2 ? 64 : 4096));
    void *large = do_malloc(4096), *block = do_malloc(64);
    do_free(do_malloc(4096));
    do_usable(block);
    for (int i = 0; i < WARM && do_pair; i++) do_pair();
    raise(SIGSTOP);
    if (!strcmp(path, "malloc-64")) do_malloc(64);
    else if (!strcmp(path, "free-64")) do_free(block);
    else if (!strcmp(path, "malloc-4096")) do_malloc(4096);
    else if (!strcmp(path, "free-4096")) do_free(large);
    else if (!strcmp(path, "calloc-64")) do_calloc(1, 64);
    else if (!strcmp(path, "realloc-in-place")) do_realloc(block, 60);
    else if (!strcmp(path, "usable-size")) do_usable(block);
    else if (!strcmp(path, "box-pair")) do_pair();
    _exit(0);
}

static void *entry(const char *path) {
    if (!strncmp(path, "malloc", 6)) return (void *)do_malloc;
    if (!strncmp(path, "free", 4)) return (void *)do_free;
    if (!strncmp(path, "calloc", 6)) return (void *)do_calloc;
    if (!strncmp(path, "realloc", 7)) return (void *)do_realloc;
    if (!strcmp(path, "usable-size")) return (void *)do_usable;
    if (!strcmp(path, "box-pair")) return (void *)do_pair;
    errno = EINVAL;
    fail(path);
    return NULL;
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: steps PATH LIBRARY\n");
        return 1;
    }
    void *library = dlopen(arguments[2], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "steps: %s\n", dlerror());
        return 1;
    }
    int is_boxes = !strcmp(arguments[1], "box-pair");
    void *mallocs = is_boxes ? RTLD_DEFAULT : library;
    do_malloc = (void *(*)(size_t))symbol(mallocs, "malloc");
    do_free = (void (*)(void *))symbol(mallocs, "free");
    do_calloc = (void *(*)(size_t, size_t))symbol(mallocs, "calloc");
    do_realloc = (void *(*)(void *, size_t))symbol(mallocs, "realloc");
    do_usable = (size_t (*)(void *))symbol(mallocs, "malloc_usable_size");
    if (is_boxes) do_pair = (void (*)(void))symbol(library, "box_pair");
    uintptr_t begin = (uintptr_t)entry(arguments[1]);
    Dl_info whole;
    if (!dladdr((void *)begin, &whole)) fail("dladdr");

    pid_t child = fork();
    if (child < 0) fail("fork");
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0) fail("ptrace");
        call(arguments[1]);
    }
    int status, outside = 0;
    struct user_regs_struct registers;
    uintptr_t back = 0;
    if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status) || WSTOPSIG(status) != SIGSTOP) fail("no stop");
    for (int step = 0; step < MOST; step++) {
        if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) < 0) fail("PTRACE_SINGLESTEP");
        if (waitpid(child, &status, 0) != child) fail("waitpid");
        if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP) {
            errno = 0;
            fail("the call ended the program");
        }
        if (ptrace(PTRACE_GETREGS, child, NULL, &registers) < 0) fail("PTRACE_GETREGS");
        uintptr_t at = registers.rip;
        if (!back) {
            if (at != begin) continue;
            errno = 0;
            back = (uintptr_t)ptrace(PTRACE_PEEKDATA, child, (void *)registers.rsp, NULL);
            if (errno) fail("PTRACE_PEEKDATA");
        } else if (at == back) {
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            return 0;
        }
        Dl_info here;
        int inside = dladdr((void *)at, &here) && here.dli_fbase == whole.dli_fbase;
        if (inside) printf("%lx\n", (unsigned long)(at - (uintptr_t)whole.dli_fbase));
        else if (!outside) printf("other\n");
        outside = !inside;
    }
    errno = 0;
    fail("the call does not come back");
}
