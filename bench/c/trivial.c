/* trivial: a program that allocates once. With an argument it prints the anonymous bytes that it then has resident
 * (RssAnon of /proc/self/status) and whose malloc it was; without, it ends. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    (void)argv;
    char *block = malloc(100);
    if (!block) return 1;
    block[0] = 1;
    if (argc < 2) {
        free(block);
        return 0;
    }
    char text[4096];
    int fd = open("/proc/self/status", O_RDONLY);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) return 1;
    text[n] = 0;
    char *line = strstr(text, "RssAnon:");
    if (!line) return 1;
    printf("value %ld\n", atol(line + 8));
    Dl_info info;
    if (dladdr(dlsym(RTLD_DEFAULT, "malloc"), &info)) printf("malloc %s\n", info.dli_fname);
    free(block);
    return 0;
}
