/* For the tests of brkmap's own functions: they are looked up, so that a program runs under the preloaded and under the
 * linked library alike. */
#ifndef API_H
#define API_H

#include "../../crates/capi/include/brkmap.h"
#include "check.h"
#include <malloc.h>

__attribute__((unused)) static int (*stats_get)(struct brkmap_stats *);
__attribute__((unused)) static void (*stats_print)(void (*)(void *, const char *), void *, int);
__attribute__((unused)) static int (*ctl)(const char *, void *, size_t *, const void *, size_t);

__attribute__((constructor)) static void look_up(void)
{
    *(void **)&stats_get = dlsym(RTLD_DEFAULT, "brkmap_stats_get");
    *(void **)&stats_print = dlsym(RTLD_DEFAULT, "brkmap_stats_print");
    *(void **)&ctl = dlsym(RTLD_DEFAULT, "brkmap_ctl");
    CHECK(stats_get && stats_print && ctl);
}

/* The figures of this moment; the equations of the header hold. */
__attribute__((unused)) static struct brkmap_stats figures(void)
{
    struct brkmap_stats now = BRKMAP_STATS_INIT;
    CHECK_EQ(stats_get(&now), 0);
    CHECK_EQ(now.size, sizeof now);
    CHECK_EQ(now.version, BRKMAP_STATS_VERSION);
    CHECK_EQ(now.flags, 0);
    CHECK_EQ(now.mapped, now.active + now.retained + now.metadata);
    CHECK_EQ(now.mapped, now.break_bytes + now.region_bytes + now.direct_bytes + now.metadata);
    CHECK_EQ(now.resident, now.resident_allocated + now.resident_thread_cache + now.pinned + now.returnable +
                               now.resident_metadata);
    CHECK(now.allocated <= now.active);
    CHECK(now.resident <= now.mapped);
    CHECK(now.resident_allocated <= now.allocated);
    CHECK(now.resident_metadata <= now.metadata);
    CHECK(now.returnable <= now.retained);
    return now;
}

/* A number by its name; the name must be known. */
__attribute__((unused)) static uint64_t number_of(const char *name)
{
    uint64_t value = 0;
    size_t length = sizeof value;
    int error = ctl(name, &value, &length, NULL, 0);
    if (error) check_failed(__FILE__, __LINE__, "brkmap_ctl knows ", name);
    CHECK_EQ(length, sizeof value);
    return value;
}

/* A sum over /proc/self/smaps, in bytes: a field of all mappings. Read without allocating. */
__attribute__((unused)) static long long smaps_sum(const char *field)
{
    static char text[4 << 20];
    size_t length = 0;
    ssize_t got;
    int fd = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    while ((got = read(fd, text + length, sizeof text - 1 - length)) > 0) length += got;
    close(fd);
    text[length] = 0;
    CHECK(length < sizeof text - 1);
    long long sum = 0;
    size_t name = strlen(field);
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1)
        if (!strncmp(line, field, name)) sum += strtoll(line + name, NULL, 10) * 1024;
    return sum;
}

#define MIB ((long long)1 << 20)

#endif
