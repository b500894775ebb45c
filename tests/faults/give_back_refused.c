/* behaviour: with munmap and madvise always refused the program goes on: memory is kept, blocks are whole, errno is kept
 * source: munmap(2), madvise(2) ERRORS; seccomp(2)
 * cases: list
 * user: nobody
 */
#include "seccomp.h"

static const struct { const char *name; int calls[4], count, error; } cases[] = {
    {"munmap-EPERM", {SYS_munmap}, 1, EPERM},
    {"munmap-ENOMEM", {SYS_munmap}, 1, ENOMEM},
    {"madvise-EPERM", {SYS_madvise}, 1, EPERM},
    {"madvise-EINVAL", {SYS_madvise}, 1, EINVAL},
    {"madvise-ENOSYS", {SYS_madvise}, 1, ENOSYS},
    {"process_madvise-EPERM", {SYS_process_madvise}, 1, EPERM},
    {"process_madvise-EINVAL", {SYS_process_madvise}, 1, EINVAL},
    {"both-ENOSYS", {SYS_madvise, SYS_process_madvise}, 2, ENOSYS},
    {"mremap-ENOSYS", {SYS_mremap}, 1, ENOSYS},
    {"mremap-ENOMEM", {SYS_mremap}, 1, ENOMEM},
    {"all-EPERM", {SYS_munmap, SYS_madvise, SYS_mremap, SYS_process_madvise}, 4, EPERM},
};

int main(int argc, char **argv)
{
    CHECK_EQ(argc, 2);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!strcmp(argv[1], "--list")) printf("%s\n", cases[i].name);
        if (strcmp(argv[1], cases[i].name)) continue;
        exercise(NULL);
        refuse(cases[i].calls, cases[i].count, cases[i].error);
        void *block = malloc(5000000);
        CHECK(block != NULL);
        errno = 4321;
        free(block);
        CHECK_EQ(errno, 4321);
        exercise_with_threads();
        /* Kept memory is used again rather than piling up. */
        for (int round = 0; round < 300; round++) {
            block = malloc(3000000);
            CHECK(block != NULL);
            memset(block, 1, 3000000);
            errno = 4321;
            free(block);
            CHECK_EQ(errno, 4321);
        }
        if (cases[i].calls[0] != SYS_munmap) CHECK(status_kib("VmRSS:") < 300 * 1024);
        return 0;
    }
    return strcmp(argv[1], "--list") ? 2 : 0;
}
