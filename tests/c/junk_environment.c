/* behaviour: malformed or unknown values in the malloc environment are ignored: the program runs as without them
 * source: mallopt(3) "Environment variables"; glibc manual, "Memory Allocation Tunables"
 */
#include "check.h"
#include <sys/wait.h>

int main(int argc, char **argv)
{
    if (argc > 1) {
        for (int i = 0; i < 3000; i++) {
            char *block = malloc(i * 50);
            CHECK(block != NULL);
            memset(block, 1, i * 50);
            free(block);
        }
        return 0;
    }
    static char *const values[] = {"", "x", "-1", "99999999999999999999999", "1x", "0x10", " 7", "\377\376"};
    static char *const names[] = {"MALLOC_ARENA_MAX", "MALLOC_ARENA_TEST", "MALLOC_TOP_PAD_", "MALLOC_TRIM_THRESHOLD_",
                                  "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_PERTURB_", "MALLOC_CHECK_"};
    static char *const tunables[] = {"glibc.malloc.arena_max=x", "glibc.malloc", "=", ":::", "glibc.malloc.nonsense=3:glibc.malloc.perturb=",
                                     "glibc.malloc.mmap_max=99999999999999999999:glibc.malloc.top_pad=-5"};
    for (size_t i = 0; i < 8 + sizeof tunables / sizeof *tunables; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (!pid) {
            for (int j = 0; j < 8 && i < 8; j++)
                /* A pad of 10^23 or -1 bytes is a valid wish that no machine can meet, in glibc too. */
                if (strcmp(names[j], "MALLOC_TOP_PAD_") || i < 2) CHECK_EQ(setenv(names[j], values[i], 1), 0);
            if (i >= 8) CHECK_EQ(setenv("GLIBC_TUNABLES", tunables[i - 8], 1), 0);
            execl("/proc/self/exe", argv[0], "again", (char *)NULL);
            _exit(127);
        }
        int status;
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK_EQ(status, 0);
    }
    return 0;
}
