/* behaviour: malloc_stats writes its documented lines to standard error, whose numbers follow what is in use
 * source: malloc_stats(3)
 * ways: preload thread
 */
#include "check.h"
#include <malloc.h>

static void statistics(char *text, size_t room)
{
    char path[] = "/tmp/stats.XXXXXX";
    int file = mkstemp(path), old = dup(2);
    CHECK(file >= 0 && old >= 0 && unlink(path) == 0);
    CHECK_EQ(dup2(file, 2), 2);
    malloc_stats();
    CHECK_EQ(dup2(old, 2), 2);
    ssize_t got = pread(file, text, room - 1, 0);
    CHECK(got > 0);
    text[got] = 0;
    close(file);
    close(old);
}

static size_t total(const char *text, const char *what)
{
    const char *at = strstr(text, "Total (incl. mmap):");
    CHECK(at != NULL);
    at = strstr(at, what);
    CHECK(at != NULL && (at = strchr(at, '=')) != NULL);
    return strtoull(at + 1, NULL, 10);
}

int main(void)
{
    static char text[1 << 16];
    static const char *const wanted[] = {"Arena 0:", "system bytes     =", "in use bytes     =", "Total (incl. mmap):",
                                         "max mmap regions =", "max mmap bytes   ="};
    free(malloc(1));
    statistics(text, sizeof text);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (!strstr(text, wanted[i])) check_failed(__FILE__, __LINE__, "malloc_stats writes ", wanted[i]);
    size_t before = total(text, "in use bytes");
    for (int i = 0; i < 1000; i++) CHECK(malloc(5000) != NULL);
    char *mapped = malloc(9000000);
    CHECK(mapped != NULL);
    statistics(text, sizeof text);
    CHECK(total(text, "in use bytes") >= before + 14000000);
    CHECK(total(text, "system bytes") >= total(text, "in use bytes"));
    CHECK(total(text, "max mmap bytes") >= 9000000);
    free(mapped);
    return 0;
}
