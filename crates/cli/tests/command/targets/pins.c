/* A heap of some 12 MB of which few blocks are left, of two sizes, after a trim. Answers lines on standard input.
 *
 *   free   frees the small ones and trims: resident KiB before and after
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern int malloc_trim(size_t);

#define COUNT 60000

static void *filled(size_t size) {
    char *block = malloc(size);
    if (!block) abort();
    memset(block, 0x5a, size);
    return block;
}

static long resident_kib(void) {
    static char text[4096];
    int fd = open("/proc/self/smaps_rollup", O_RDONLY);
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    text[got > 0 ? got : 0] = 0;
    char *line = strstr(text, "\nRss:");
    return line ? atol(line + 5) : -1;
}

static void say(const char *format, ...) {
    static char text[256];
    va_list list;
    va_start(list, format);
    int length = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (write(1, text, length) < 0) _exit(1);
}

int main(void) {
    size_t bytes = 3 * COUNT * sizeof(void *);
    void **all = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void **small = all + COUNT, **medium = small + COUNT;
    for (long i = 0; i < COUNT; i++) {
        all[i] = filled(200);
        if (i % 40 == 0) small[i] = filled(48);
        if (i % 1000 == 0) medium[i] = filled(500);
    }
    for (long i = 0; i < COUNT; i++) free(all[i]);
    malloc_trim(0);
    resident_kib();
    say("ready\n");
    char line[64];
    ssize_t got;
    while ((got = read(0, line, sizeof line)) > 0) {
        long before = resident_kib();
        for (long i = 0; i < COUNT; i++) free(small[i]), small[i] = 0;
        malloc_trim(0);
        say("%ld %ld\n", before, resident_kib());
    }
    return 0;
}
