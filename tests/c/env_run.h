/* For the tests of the environment: the program runs itself again with a few variables more. */
#ifndef ENV_RUN_H
#define ENV_RUN_H

#include "check.h"
#include <malloc.h>
#include <sys/wait.h>

/* Which part of the test this run is; NULL in the first one. */
__attribute__((unused)) static const char *part(void)
{
    return getenv("TEST_PART");
}

/* Runs this program again as that part, with these variables ("NAME=value", in this order, NULL at the end). What it
 * writes to stderr goes to `errors` if that is not NULL, as a string. Returns its status as waitpid has it. */
__attribute__((unused)) static int run_part(const char *name, char *const *variables, char *errors, size_t room)
{
    int ends[2];
    if (errors) CHECK_EQ(pipe(ends), 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (!pid) {
        if (errors) CHECK_EQ(dup2(ends[1], 2), 2);
        CHECK_EQ(setenv("TEST_PART", name, 1), 0);
        for (; *variables; variables++) CHECK_EQ(putenv(*variables), 0);
        execl("/proc/self/exe", "again", (char *)NULL);
        _exit(127);
    }
    if (errors) {
        size_t length = 0;
        ssize_t got;
        close(ends[1]);
        while (length + 1 < room && (got = read(ends[0], errors + length, room - 1 - length)) > 0) length += got;
        errors[length] = 0;
        close(ends[0]);
    }
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    return status;
}

#define VARIABLES(...) ((char *[]){__VA_ARGS__, NULL})

/* The part must end well in this environment. */
#define PASSES(name, ...)                                                                                         \
    do {                                                                                                          \
        int status_ = run_part(name, VARIABLES(__VA_ARGS__), NULL, 0);                                            \
        if (status_) check_failed(__FILE__, __LINE__, "the part " name " ends well with " #__VA_ARGS__, "");      \
    } while (0)

/* Does a block of this size get a mapping of its own? It is kept, so that it serves no later request. */
__attribute__((unused)) static long is_mapped(size_t size)
{
    size_t before = mallinfo2().hblks;
    CHECK(opaque(malloc(size)) != NULL);
    return mallinfo2().hblks - before;
}

/* Does the address lie in the mapping of that name in /proc/self/maps? Read without allocating. */
__attribute__((unused)) static int lies_in(const void *address, const char *name)
{
    char text[256 << 10]; /* not static: threads look at the same time */
    size_t length = 0;
    ssize_t got;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    while ((got = read(fd, text + length, sizeof text - 1 - length)) > 0) length += got;
    close(fd);
    text[length] = 0;
    int found = 0;
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        char *dash;
        uintptr_t low = strtoul(line, &dash, 16), high = strtoul(dash + 1, NULL, 16);
        found |= strstr(line, name) && low <= (uintptr_t)address && (uintptr_t)address < high;
    }
    return found;
}

#endif
