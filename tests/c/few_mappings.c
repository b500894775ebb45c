/* behaviour: a thread's heap of 512 MiB is a handful of mappings to the kernel, whatever else the process maps meanwhile
 * source: vm.max_map_count (Documentation/admin-guide/sysctl/vm.rst); docs/POLICY.md, "Where blocks lie"
 * timeout: 60
 */
#include "check.h"
#include <pthread.h>
#include <sys/mman.h>

static int mappings(void) {
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps != NULL);
    int lines = 0;
    for (int c; (c = fgetc(maps)) != EOF;) lines += c == '\n';
    fclose(maps);
    return lines;
}

static void *grow(void *unused) {
    (void)unused;
    for (size_t at = 0; at < (size_t)512 << 20; at += 1000) {
        CHECK(malloc(1000) != NULL);
        /* Somebody else's mappings, of which one in two stays. */
        if (at % 16000000 == 0) {
            void *other = mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            CHECK(other != MAP_FAILED && mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
            CHECK(munmap(other, 1 << 20) == 0);
        }
    }
    return NULL;
}

int main(void) {
    int before = mappings();
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, grow, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    int more = mappings() - before;
    /* 34 of the program's own at most, if none of them merge. */
    CHECK_EQ(more <= 34 + 24 ? 0 : more, 0);
    return 0;
}
