/* launch: run one command, measure it, write what was measured to a file.
 *
 * A program of its own, linked statically, for one reason: the kernel's ru_maxrss of a process is never less than the
 * resident set of whoever forked it, because exec keeps the larger of the two. A fork of the Rust runner would hide
 * the footprint of every small program; a fork of this one adds a floor of well under a MiB.
 *
 *     launch -o REPORT [-c CPU] [-t SECONDS] [-p PRELOAD] -- COMMAND [ARGUMENT...]
 *
 * The report is lines of "key value": status (a shell's exit status), timeout, user_us, system_us, wall_us,
 * peak_rss_kib, minor_faults, major_faults, and one "map PATH" for each file that the process had mapped when its
 * C library was seen there. No "map" line means that the process ended before it could be looked at. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t timed_out;
static pid_t child;

static void on_alarm(int signal_number) {
    (void)signal_number;
    timed_out = 1;
    kill(-child, SIGKILL);
}

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void die(const char *what) {
    fprintf(stderr, "launch: %s: %s\n", what, strerror(errno));
    exit(125);
}

/* The child's half: own process group (so that a timeout reaches its children), CPU, preload, exec. */
static void become(char **command, int cpu, const char *preload) {
    setpgid(0, 0);
    /* An interrupt at the keyboard reaches the launcher, which is in the runner's group, and so the child too. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (cpu >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
        if (sched_setaffinity(0, sizeof set, &set) != 0) die("pinning to the CPU given with -c");
    }
    if (preload) setenv("LD_PRELOAD", preload, 1);
    else unsetenv("LD_PRELOAD");
    execvp(command[0], command);
    fprintf(stderr, "launch: %s: %s\n", command[0], strerror(errno));
    _exit(errno == ENOENT ? 127 : 126);
}

/* Reads /proc/PID/maps; nonzero once the C library is in it, which ld.so maps after everything preloaded. */
static int read_maps(char *text, size_t room) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/maps", (int)child);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    size_t length = 0;
    ssize_t n;
    while (length + 1 < room && (n = read(fd, text + length, room - 1 - length)) > 0) length += (size_t)n;
    close(fd);
    text[length] = 0;
    return strstr(text, "/libc.so") != NULL || strstr(text, "/libc-2") != NULL;
}

static void write_maps(FILE *report, char *text) {
    char last[4096] = "";
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        char *file = strchr(line, '/');
        if (!file || strcmp(file, last) == 0) continue;
        snprintf(last, sizeof last, "%s", file);
        fprintf(report, "map %s\n", file);
    }
}

static double microseconds(struct timeval t) { return t.tv_sec * 1e6 + t.tv_usec; }

int main(int argc, char **argv) {
    const char *output = NULL, *preload = NULL;
    int cpu = -1, seconds = 0, option;
    while ((option = getopt(argc, argv, "+o:c:t:p:")) != -1) {
        if (option == 'o') output = optarg;
        else if (option == 'c') cpu = atoi(optarg);
        else if (option == 't') seconds = atoi(optarg);
        else if (option == 'p') preload = optarg;
        else return 125;
    }
    if (!output || optind >= argc) {
        fprintf(stderr, "usage: launch -o REPORT [-c CPU] [-t SECONDS] [-p PRELOAD] -- COMMAND...\n");
        return 125;
    }
    FILE *report = fopen(output, "we");
    if (!report) die(output);

    double start = now_us();
    child = fork();
    if (child < 0) die("fork");
    if (child == 0) become(argv + optind, cpu, preload);
    setpgid(child, child);
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    alarm((unsigned)seconds);

    /* Look often at first (a program may live for a millisecond), then rarely, and never again once seen. */
    static char maps[1 << 18];
    int status = 0, seen = 0;
    struct rusage used;
    pid_t ended = 0;
    for (long pause_us = 100; ended == 0 && !seen; pause_us = pause_us < 20000 ? pause_us * 3 / 2 : pause_us) {
        struct timespec pause = {0, pause_us * 1000};
        nanosleep(&pause, NULL);
        ended = wait4(child, &status, WNOHANG, &used);
        if (ended == 0) seen = read_maps(maps, sizeof maps);
    }
    while (ended != child) ended = wait4(child, &status, 0, &used);
    double wall = now_us() - start;

    fprintf(report, "status %d\ntimeout %d\n", WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status),
            (int)timed_out);
    fprintf(report, "user_us %.0f\nsystem_us %.0f\nwall_us %.0f\n", microseconds(used.ru_utime),
            microseconds(used.ru_stime), wall);
    fprintf(report, "peak_rss_kib %ld\nminor_faults %ld\nmajor_faults %ld\n", used.ru_maxrss, used.ru_minflt,
            used.ru_majflt);
    if (seen) write_maps(report, maps);
    return fclose(report) == 0 ? 0 : 125;
}
