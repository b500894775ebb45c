#!/usr/bin/env bash
# behaviour: the counters of system calls are what strace sees, call for call
# source: brkmap.h, stats.calls; strace(1)
# timeout: 60
set -eu
cat > program.c <<'END'
#include "brkmap.h"
#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
static const char *const names[] = {"brk", "mmap", "munmap", "mremap", "madvise", "mincore", "futex", "prctl", "clock_gettime",
    "getpid", "gettid"};
enum { COUNT = sizeof names / sizeof *names };
static int (*ctl)(const char *, void *, size_t *, const void *, size_t);
static void take(uint64_t *made)
{
    char name[80];
    size_t length = sizeof *made;
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "stats.calls.%s", names[i]);
        if (ctl(name, &made[i], &length, NULL, 0)) abort();
    }
}
int main(void)
{
    static char *blocks[30000];
    uint64_t before[COUNT], after[COUNT];
    *(void **)&ctl = dlsym(RTLD_DEFAULT, "brkmap_ctl");
    struct brkmap_stats stats = BRKMAP_STATS_INIT;
    int (*get)(struct brkmap_stats *);
    *(void **)&get = dlsym(RTLD_DEFAULT, "brkmap_stats_get");
    free(malloc(1));
    free(malloc(1000));
    take(before);
    syscall(SYS_getppid);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 30000; i++) blocks[i] = memset(malloc(i + 1), 1, i + 1);
        for (int i = 0; i < 30000; i += 2) free(blocks[i]), blocks[i] = NULL;
        malloc_trim(0);
        char *large = malloc(10 << 20);
        for (int i = 11; i < 20; i++) large = realloc(large, (size_t)i << 20);
        free(large);
        for (int i = 0; i < 30000; i++) free(blocks[i]);
        malloc_trim(0);
        if (get(&stats)) abort();
    }
    syscall(SYS_getppid);
    take(after);
    for (int i = 0; i < COUNT; i++) printf("%s %llu\n", names[i], (unsigned long long)(after[i] - before[i]));
    return 0;
}
END
gcc -O1 -fno-builtin -D_GNU_SOURCE -I"$REPOSITORY/crates/capi/include" program.c -o program
strace -f -o trace -e trace=brk,mmap,munmap,mremap,madvise,mincore,futex,prctl,clock_gettime,getpid,gettid,getppid \
    -E LD_PRELOAD="$BRKMAP_LIBRARY" -E BRKMAP_BACKGROUND=off ./program > counted
# What lies between the two marks.
awk '/getppid\(/ { marks++; next } marks == 1' trace | sed -E 's/^[0-9]+ +([a-z_]+)\(.*/\1/' > seen
for name in brk mmap munmap mremap madvise mincore futex prctl clock_gettime getpid gettid; do
    echo "$name $(grep -cx "$name" seen || true)"
done > expected
diff expected counted
# It was a test of something.
for name in brk mmap munmap mremap madvise mincore; do grep -Eq "^$name [1-9]" counted; done
