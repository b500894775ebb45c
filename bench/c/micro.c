/* brkmap-micro: one small measuring loop per run, over whatever malloc the process has.
 *
 *     brkmap-micro NAME [NUMBER or PROGRAM]
 *
 * It prints "value X", the figure, and "malloc PATH", the object whose malloc it was. */
#define _GNU_SOURCE
#include "micro.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

void *must_malloc(size_t size) {
    void *p = malloc(size);
    if (!p) {
        fprintf(stderr, "brkmap-micro: malloc(%zu) gave nothing\n", size);
        abort();
    }
    return p;
}

static cpu_set_t allowed;

void pin(int k) {
    int rank = k % CPU_COUNT(&allowed);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || rank-- > 0) continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        sched_setaffinity(0, sizeof one, &one);
        return;
    }
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, compare);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

double resident_bytes(void) {
    char text[2048];
    int fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n < 0 ? 0 : n] = 0;
    char *line = strstr(text, "\nRss:");
    if (!line) {
        fprintf(stderr, "brkmap-micro: /proc/self/smaps_rollup has no Rss line (Linux 4.14 or later is needed)\n");
        exit(1);
    }
    return atof(line + 5) * 1024;
}

/* fork, exec, run and wait for a trivial program: us each, the median. It has our environment, hence our malloc. */
double start_cost(char *program) {
    enum { RUNS = 300 };
    static double each[RUNS];
    char *arguments[] = {program, NULL};
    for (int run = 0; run < RUNS; run++) {
        int status;
        pid_t pid;
        double start = now_ns();
        if (posix_spawn(&pid, program, NULL, NULL, arguments, environ) != 0 || waitpid(pid, &status, 0) != pid ||
            status != 0) {
            fprintf(stderr, "brkmap-micro: %s could not be run\n", program);
            exit(1);
        }
        each[run] = (now_ns() - start) / 1e3;
    }
    return median(each, RUNS);
}

static double measure(const char *name, char *argument) {
    size_t number = argument ? strtoull(argument, NULL, 10) : 0;
    int count = (int)number;
    if (!strcmp(name, "hot")) return hot_pair(number);
    if (!strcmp(name, "sizes")) return sizes_round_robin();
    if (!strcmp(name, "lifo")) return batch(1);
    if (!strcmp(name, "fifo")) return batch(0);
    if (!strcmp(name, "random")) return random_replacement((int)number);
    if (!strcmp(name, "calloc")) return calloc_pair(number);
    if (!strcmp(name, "realloc")) return realloc_growth();
    if (!strcmp(name, "large")) return large_cycle(number);
    if (!strcmp(name, "block")) return bytes_per_block(number);
    if (!strcmp(name, "aligned")) return aligned_pair(number);
    if (!strcmp(name, "aligned-mixed")) return aligned_replacement();
    if (!strcmp(name, "vectors")) return growing_vectors();
    if (!strcmp(name, "large-mixed")) return large_replacement();
    if (!strcmp(name, "remote")) return remote_free(0, count);
    if (!strcmp(name, "remote-mixed")) return remote_free(1, count);
    if (!strcmp(name, "free-only")) return free_only(count);
    if (!strcmp(name, "handover")) return handed_over_replacement(count);
    if (!strcmp(name, "churn")) return thread_churn(0);
    if (!strcmp(name, "churn-left")) return thread_churn(1);
    if (!strcmp(name, "ladder")) return ladders(count, 0);
    if (!strcmp(name, "ladder-cross")) return ladders(count, 1);
    if (!strcmp(name, "phases")) return phases(count);
    if (!strcmp(name, "false-passive")) return false_sharing(count, 1);
    if (!strcmp(name, "false-active")) return false_sharing(count, 0);
    if (!strcmp(name, "small")) return small_sets(count);
    if (!strcmp(name, "start") && argument) return start_cost(argument);
    fprintf(stderr, "brkmap-micro: no measurement is called %s\n", name);
    exit(2);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: brkmap-micro NAME [NUMBER or PROGRAM]\n");
        return 2;
    }
    sched_getaffinity(0, sizeof allowed, &allowed);
    double value = measure(argv[1], argc > 2 ? argv[2] : NULL);
    printf("value %.4f\n", value);
    Dl_info info;
    if (dladdr(dlsym(RTLD_DEFAULT, "malloc"), &info)) printf("malloc %s\n", info.dli_fname);
    return 0;
}
