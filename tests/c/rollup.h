/* Figures of a process as a whole: lines of its smaps_rollup (proc_pid_smaps(5)), read without stdio, whose buffers would be
 * allocated. */
#ifndef ROLLUP_H
#define ROLLUP_H

#include "check.h"

/* KiB of the line that begins with "\nNAME:". */
static long rollup(pid_t process, const char *name)
{
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", process);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    CHECK(length > 0);
    text[length] = 0;
    char *line = strstr(text, name);
    CHECK(line != NULL);
    return atol(line + strlen(name));
}

#endif
