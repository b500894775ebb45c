/* behaviour: brkmap_stats_print writes figures, classes, heaps and system calls, each once, in parts, allocating nothing; its
 *   caller's function may allocate; flags leave parts out; without a function it writes to standard error
 * source: brkmap.h
 * glibc: exempt (functions of brkmap's own)
 * ways: preload linked thread
 */
#include "api.h"

struct text {
    char bytes[1 << 16];
    size_t length;
};

static void gather(void *argument, const char *part)
{
    struct text *text = argument;
    size_t length = strlen(part);
    CHECK(length > 0 && length < 2048);
    CHECK(text->length + length < sizeof text->bytes);
    memcpy(text->bytes + text->length, part, length + 1);
    text->length += length;
    free(opaque(malloc(length)));
}

static int count(const struct text *text, const char *what)
{
    int found = 0;
    for (const char *at = text->bytes; (at = strstr(at, what)); at++) found++;
    return found;
}

int main(void)
{
    static struct text all, some, said;
    CHECK(opaque(malloc(100)) && opaque(malloc(70000)) && opaque(malloc(1 << 20)));
    stats_print(gather, &all, 0);
    static const char *const names[] = {"allocated ", "active ", "metadata ", "resident ", "mapped ", "retained ", "returnable ",
        "pinned ", "thread_cache ", "resident_allocated ", "live_blocks ", "heaps_active ", "mmap_threshold "};
    char line[80];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(line, sizeof line, "\n  %s", names[i]);
        if (count(&all, line) != 1) check_failed(__FILE__, __LINE__, "is printed once: ", names[i]);
    }
    CHECK_EQ(count(&all, "\nsize classes "), 1);
    CHECK_EQ(count(&all, "\nheaps: "), 1);
    CHECK_EQ(count(&all, "\nsystem calls\n"), 1);
    CHECK_EQ(count(&all, "\ncounters\n"), 1);
    CHECK(count(&all, "\n  mmap ") == 1 && count(&all, "\n  map_direct ") == 1);
    CHECK_EQ(all.bytes[all.length - 1], '\n');
    stats_print(gather, &some, BRKMAP_PRINT_NO_CLASSES | BRKMAP_PRINT_NO_HEAPS | BRKMAP_PRINT_NO_CALLS);
    CHECK(count(&some, "\n  allocated ") == 1 && !strstr(some.bytes, "size classes") && !strstr(some.bytes, "heaps: ") &&
          !strstr(some.bytes, "system calls"));

    char path[] = "/tmp/stats.XXXXXX";
    int file = mkstemp(path), old = dup(2);
    CHECK(file >= 0 && old >= 0 && unlink(path) == 0 && dup2(file, 2) == 2);
    uint64_t writes = number_of("stats.calls.write");
    stats_print(NULL, NULL, 0);
    CHECK(number_of("stats.calls.write") > writes);
    CHECK_EQ(dup2(old, 2), 2);
    ssize_t got = pread(file, said.bytes, sizeof said.bytes - 1, 0);
    CHECK(got > 1000);
    CHECK(count(&said, "\n  allocated ") == 1 && count(&said, "\nsystem calls\n") == 1);
    return 0;
}
