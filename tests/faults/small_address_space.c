/* behaviour: under RLIMIT_AS of 32 MiB `ls` works; a loop until NULL ends with ENOMEM, and after the frees memory is there
 *   again
 * source: setrlimit(2) RLIMIT_AS
 */
#include "seccomp.h"
#include <sys/resource.h>

int main(int argc, char **argv)
{
    struct rlimit limit = {32 << 20, 32 << 20};
    if (argc == 1) {
        CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
        CHECK_EQ(system("ls -l / > /dev/null"), 0);
        execl("/proc/self/exe", argv[0], "limited", (char *)NULL);
        return 127;
    }
    static const size_t sizes[] = {24, 500, 4000, 30000, 100000, 400000};
    for (size_t kind = 0; kind < sizeof sizes / sizeof *sizes; kind++)
        for (int round = 0; round < 3; round++) {
            void **chain = NULL;
            size_t bytes = 0;
            for (;;) {
                errno = 0;
                void **block = malloc(sizes[kind]);
                if (!block) break;
                memset(block, 0x77, sizes[kind]);
                *block = chain;
                chain = block;
                bytes += sizes[kind];
            }
            CHECK_EQ(errno, ENOMEM);
            CHECK(bytes > 4 << 20);
            while (chain) {
                void **next = *chain;
                CHECK(all_bytes(chain + 1, sizes[kind] - 8, 0x77));
                free(chain);
                chain = next;
            }
            void *again = malloc(1 << 20);
            CHECK(again != NULL);
            free(again);
        }
    exercise(NULL);
    return 0;
}
