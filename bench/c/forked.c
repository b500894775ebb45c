/* What a fork costs while the parent goes on: how much memory parent and child have together, before and after. Each OS page
 * counts once, however many map it (Pss of smaps_rollup), so what one of them gave back and the other still has is no cost. */
#define _GNU_SOURCE
#include "micro.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static double share_of(const char *process) {
    char path[64], text[2048];
    snprintf(path, sizeof path, "/proc/%s/smaps_rollup", process);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n < 0 ? 0 : n] = 0;
    char *line = strstr(text, "\nPss_Anon:");
    if (!line) {
        fprintf(stderr, "brkmap-micro: %s has no line Pss_Anon (Linux 5.4 or later is needed)\n", path);
        exit(1);
    }
    return atof(line + 10) / 1024;
}

static void pause_ms(unsigned ms) {
    usleep(ms * 1000);
}

/* Blocks of mixed sizes, a fortieth of them replaced at random while a child waits: MiB that this costs. */
double forked_replacement(int objects) {
    uint32_t state = 12345;
    char **table = must_malloc((size_t)objects * sizeof *table);
    for (int i = 0; i < objects; i++) {
        size_t size = mixed_size(next_random(&state));
        memset(table[i] = must_malloc(size), 1, size);
    }
    /* The heap of a program that has run for a while: free blocks here and there. */
    for (int i = 0; i < objects; i++) {
        uint32_t r = next_random(&state);
        uint32_t slot = (uint32_t)(((uint64_t)r * (uint32_t)objects) >> 32);
        free(table[slot]);
        memset(table[slot] = must_malloc(mixed_size(r)), 2, 16);
    }
    pause_ms(1000);
    double before = share_of("self");
    pid_t child = fork();
    if (child == 0)
        for (;;) pause();
    for (int part = 0; part < 10; part++) {
        for (int i = 0; i < objects / 400; i++) {
            uint32_t r = next_random(&state);
            uint32_t slot = (uint32_t)(((uint64_t)r * (uint32_t)objects) >> 32);
            size_t size = mixed_size(r);
            free(table[slot]);
            memset(table[slot] = must_malloc(size), 3, size);
        }
        pause_ms(100);
    }
    char number[16];
    snprintf(number, sizeof number, "%d", child);
    double after = share_of("self") + share_of(number);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return after - before;
}
