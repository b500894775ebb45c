/* behaviour: every layout of the address space will do: without randomisation, bottom-up mappings, an unlimited stack
 * source: personality(2), setrlimit(2) RLIMIT_STACK; debuggers and `setarch`
 * cases: list
 */
#include "seccomp.h"
#include <sys/personality.h>
#include <sys/resource.h>

static const struct { const char *name; unsigned long persona; int stack; } cases[] = {
    {"no-randomisation", ADDR_NO_RANDOMIZE, 0},
    {"bottom-up", ADDR_COMPAT_LAYOUT, 0},
    {"bottom-up-fixed", ADDR_COMPAT_LAYOUT | ADDR_NO_RANDOMIZE, 0},
    {"unlimited-stack", 0, 1},
};

int main(int argc, char **argv)
{
    CHECK(argc >= 2);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!strcmp(argv[1], "--list")) puts(cases[i].name);
        if (strcmp(argv[1], cases[i].name)) continue;
        if (argc == 2) {
            struct rlimit limit;
            CHECK(personality(cases[i].persona) != -1);
            CHECK_EQ(getrlimit(RLIMIT_STACK, &limit), 0);
            if (cases[i].stack) limit.rlim_cur = limit.rlim_max;
            CHECK_EQ(setrlimit(RLIMIT_STACK, &limit), 0);
            execl("/proc/self/exe", argv[0], argv[1], "laid-out", (char *)NULL);
            return 127;
        }
        for (int round = 0; round < 3; round++) exercise_with_threads();
        return 0;
    }
    return strcmp(argv[1], "--list") ? 2 : 0;
}
