/* which: a library preloaded after the allocator, in the warm-up run only. Each process appends one line to the file
 * named by ALLOCATOR_WHICH: the object whose malloc the dynamic linker gives to that process, a tab, its program.
 * It allocates nothing. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((constructor)) static void tell(void) {
    const char *output = getenv("ALLOCATOR_WHICH");
    void *function = dlsym(RTLD_DEFAULT, "malloc");
    Dl_info info;
    if (!output || !function || dladdr(function, &info) == 0 || !info.dli_fname) return;
    char program[512];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    program[n < 0 ? 0 : n] = 0;
    char line[1024];
    int length = snprintf(line, sizeof line, "%s\t%s\n", info.dli_fname, program);
    if (length <= 0 || (size_t)length >= sizeof line) return;
    int fd = open(output, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return;
    ssize_t written = write(fd, line, (size_t)length);
    (void)written;
    close(fd);
}
