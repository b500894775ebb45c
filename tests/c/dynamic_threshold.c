/* behaviour: the threshold is dynamic: after a mapped block of 5 MB was freed a block of 4 MB has no mapping of its own,
 *   one of 6 MB has; a mapped block whose chunk has 32 MiB or more leaves the threshold alone; setting any of the four options ends the
 *   dynamics
 * source: mallopt(3) M_MMAP_THRESHOLD ("dynamic mmap threshold"); glibc malloc.c
 */
#include "check.h"
#include <malloc.h>
#include <sys/wait.h>

static long mapped_by(size_t size)
{
    size_t before = mallinfo2().hblks;
    void *block = malloc(size);
    CHECK(block != NULL);
    long more = mallinfo2().hblks - before;
    free(block);
    return more;
}

static void rises(void)
{
    CHECK_EQ(mapped_by(130000), 0);
    CHECK_EQ(mapped_by(40000000), 1);
    CHECK_EQ(mapped_by(40000000), 1);
    CHECK_EQ(mapped_by(5000000), 1);
    CHECK_EQ(mapped_by(4000000), 0);
    CHECK_EQ(mapped_by(5000000), 0);
    CHECK_EQ(mapped_by(6000000), 1);
    CHECK_EQ(mapped_by(6000000), 0);
    CHECK_EQ(mapped_by(32000000), 1);
    CHECK_EQ(mapped_by(32000000), 0);
    /* A chunk of exactly 32 MiB, with its header. */
    for (int i = 0; i < 2; i++) CHECK_EQ(mapped_by((32 << 20) - 4096), 1);
    CHECK_EQ(mapped_by(40000000), 1);
}

static void ended_by(int parameter, int value)
{
    CHECK_EQ(mallopt(parameter, value), 1);
    for (int i = 0; i < 3; i++) CHECK_EQ(mapped_by(5000000), 1);
}

int main(void)
{
    static const struct { int parameter, value; } options[] = {
        {0, 0}, {M_MMAP_THRESHOLD, 131072}, {M_TRIM_THRESHOLD, 131072}, {M_TOP_PAD, 131072}, {M_MMAP_MAX, 65536}};
    for (int i = 0; i < 5; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (!pid) {
            free(malloc(1));
            if (i == 0) rises();
            else ended_by(options[i].parameter, options[i].value);
            _exit(0);
        }
        int status;
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        if (status) check_failed(__FILE__, __LINE__, "the child ended well, option ", (char[]){'0' + i, 0});
    }
    return 0;
}
