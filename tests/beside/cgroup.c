/* What the scripts cgroup_*.sh run in a control group, a real one or made-up files in its place.
 *
 * keep              frees a little, within the budget, and waits: prints how many MiB went back by themselves
 * grow FREE LIVE    frees some in pieces and takes a large block: prints how many MiB went back before it was touched
 * survive           the same where both together are more than the limit; prints "survived"
 * around            allocates, frees and checks contents and descriptors; errno is left alone
 * refused CALL      the same, when openat or read is refused from the middle of its life on
 * chroot            the same in a root without files
 *
 * With COUNT=file the program keeps its own size in that file, as memory.current does for a group of one process.
 */
#include "../faults/seccomp.h"
#include <dirent.h>
#include <sys/stat.h>

enum { BLOCK = 1000, BLOCKS = 230000 };
static char *blocks[BLOCKS];

static long rss_mib(void)
{
    return status_kib("VmRSS:") >> 10;
}

/* Writes the present size, and what others of the group are said to use (BASE, MiB), where the library looks for it. */
static void count(void)
{
    const char *path = getenv("COUNT");
    if (!path || !*path) return;
    char text[32];
    int length = snprintf(text, sizeof text, "%ld\n", (rss_mib() + atol(getenv("BASE"))) << 20);
    int file = open(path, O_WRONLY | O_TRUNC);
    CHECK(file >= 0);
    CHECK_EQ(write(file, text, length), length);
    close(file);
}

static void wait_ms(int ms)
{
    for (; ms > 0; ms -= 50) {
        count();
        usleep(50000);
    }
}

static void take(int mib)
{
    for (int i = 0; i < mib * 1000; i++) {
        blocks[i] = malloc(BLOCK);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], i, BLOCK);
        if (i % 4000 == 0) count();
    }
    count();
}

/* Frees `part` MB of `mib` in pieces of a megabyte: whole pages, but nowhere room for a large block. */
static void give(int mib, int part)
{
    int step = mib / part;
    for (int piece = 0; piece < mib; piece += step)
        for (int i = piece * 1000; i < (piece + 1) * 1000; i++) {
            free(blocks[i]);
            blocks[i] = NULL;
        }
}

static void whole(void)
{
    for (int i = 0; i < BLOCKS; i++)
        if (blocks[i]) CHECK(all_bytes(blocks[i], BLOCK, (unsigned char)i));
}

static int descriptors(void)
{
    int found = 0;
    for (int fd = 0; fd < 256; fd++) found += fcntl(fd, F_GETFD) >= 0;
    return found;
}

static void around(void)
{
    for (int round = 0; round < 5; round++) {
        int before = descriptors();
        errno = 4321;
        for (int i = 0; i < 60000; i++) {
            blocks[i] = malloc(BLOCK);
            memset(blocks[i], i, BLOCK);
        }
        CHECK_EQ(errno, 4321);
        char *large = malloc(30 << 20);
        memset(large, 1, 30 << 20);
        CHECK_EQ(errno, 4321);
        CHECK_EQ(descriptors(), before);
        whole();
        free(large);
        for (int i = 0; i < 60000; i++) {
            free(blocks[i]);
            blocks[i] = NULL;
        }
        usleep(60000);
    }
}

int main(int argc, char **argv)
{
    CHECK(argc >= 2);
    memset(blocks, 0, sizeof blocks);
    if (!strcmp(argv[1], "keep")) {
        take(200);
        long before = rss_mib();
        give(200, 10);
        wait_ms(1500);
        printf("%ld\n", before - rss_mib());
    } else if (!strcmp(argv[1], "grow")) {
        take(200);
        long before = rss_mib();
        give(200, 10);
        usleep(60000);
        char *large = malloc(60 << 20);
        CHECK(large != NULL);
        printf("%ld\n", before - rss_mib());
        memset(large, 1, 60 << 20);
        free(large);
    } else if (!strcmp(argv[1], "survive")) {
        int live = atoi(argv[2]), part = atoi(argv[3]), more = atoi(argv[4]);
        take(live);
        for (int round = 0; round < 20; round++) {
            give(live, part);
            char *large = malloc((size_t)more << 20);
            CHECK(large != NULL);
            memset(large, 1, (size_t)more << 20);
            free(large);
            for (int i = 0; i < live * 1000; i++)
                if (!blocks[i]) {
                    CHECK((blocks[i] = malloc(BLOCK)) != NULL);
                    memset(blocks[i], i, BLOCK);
                }
        }
        puts("survived");
    } else if (!strcmp(argv[1], "around")) {
        around();
    } else if (!strcmp(argv[1], "refused")) {
        around();
        CHECK_EQ(argc, 3);
        int call = strcmp(argv[2], "read") ? SYS_openat : SYS_read;
        refuse(&call, 1, EPERM);
        around();
    } else if (!strcmp(argv[1], "chroot")) {
        CHECK_EQ(mkdir("empty", 0700) && errno != EEXIST, 0);
        CHECK_EQ(chroot("empty"), 0);
        around();
    } else {
        return 2;
    }
    whole();
    return 0;
}
