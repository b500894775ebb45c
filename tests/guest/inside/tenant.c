/* What the scripts of this folder run in a control group of the guest, under either malloc. Sizes are in MB (10^6 bytes).
 *
 * keep LIVE PART MS                       takes LIVE, frees PART of it in pieces, waits for so long, or until most of it went
 *                                         back by itself: how much did
 * work LIVE PART MORE ROUNDS              frees PART of LIVE and takes MORE at once, again and again: a line for each round
 * until-null                              takes until malloc answers NULL, frees all, and takes as much again
 * alone LIVE KEPT                         frees all but KEPT of LIVE and waits: what stays, and that no thread is left behind
 * sit LIVE PART                           takes LIVE, frees PART of it and sleeps, to be looked at
 * calls COUNT                             maps and unmaps COUNT blocks of 1 MiB as soon as /tmp/go is there, and sleeps
 * contain COMMAND…                        runs a command as a container has it: the own group is the root of what it sees
 */
#include "../../c/check.h"
#include <sched.h>
#include <sys/mount.h>
#include <time.h>

enum { BLOCK = 1000, MOST = 300 * 1000 };
static char *blocks[MOST];

static long milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What the group is charged for, in KiB; GROUP names its folder. */
static long charged_kib(void)
{
    char path[200], text[40];
    const char *group = getenv("GROUP");
    CHECK(group != NULL);
    snprintf(path, sizeof path, "%s/memory.current", group);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(file >= 0);
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    CHECK(length > 0);
    text[length] = 0;
    return atol(text) >> 10;
}

static void take(int mb)
{
    for (int i = 0; i < mb * 1000; i++)
        if (!blocks[i]) {
            CHECK((blocks[i] = malloc(BLOCK)) != NULL);
            memset(blocks[i], i, BLOCK);
        }
}

/* Frees `part` MB of `mb` in pieces of a megabyte: whole OS pages, but nowhere room for a large block. */
static void give(int mb, int part)
{
    for (int piece = 0; piece < part; piece++) {
        int first = (int)((long)piece * mb / part) * 1000;
        for (int i = first; i < first + 1000; i++) {
            free(blocks[i]);
            blocks[i] = NULL;
        }
    }
}

static void whole(void)
{
    for (int i = 0; i < MOST; i++)
        if (blocks[i]) CHECK(all_bytes(blocks[i], BLOCK, (unsigned char)i));
}

static void keep(int live, int part, int ms)
{
    take(live);
    long rss = status_kib("RssAnon:"), charged = charged_kib();
    printf("full: rss %ld charged %ld MiB\n", rss >> 10, charged >> 10);
    fflush(stdout);
    give(live, part);
    for (int waited = 0; waited < ms && status_kib("RssAnon:") > rss - (part - 1) * 1000; waited += 20) usleep(20000);
    printf("back rss %ld charged %ld\n", (rss - status_kib("RssAnon:")) >> 10, (charged - charged_kib()) >> 10);
}

static void work(int live, int part, size_t more, int rounds)
{
    take(live);
    for (int round = 1; round <= rounds; round++) {
        long start = milliseconds();
        give(live, part);
        char *large = malloc(more * 1000000);
        CHECK(large != NULL);
        memset(large, 1, more * 1000000);
        free(large);
        take(live);
        printf("round %d ms %ld charged %ld\n", round, milliseconds() - start, charged_kib() >> 10);
        fflush(stdout);
    }
    puts("done");
}

/* errno is ENOMEM, and a refusal leaves the heap usable. */
static void until_null(void)
{
    int most[2];
    for (int round = 0; round < 2; round++) {
        int count = 0;
        for (errno = 0; count < MOST && (blocks[count] = malloc(BLOCK)) != NULL; count++) memset(blocks[count], count, BLOCK);
        CHECK(count < MOST);
        CHECK_EQ(errno, ENOMEM);
        whole();
        for (int i = 0; i < count; i++) {
            free(blocks[i]);
            blocks[i] = NULL;
        }
        most[round] = count / 1000;
    }
    printf("null after %d and %d\n", most[0], most[1]);
}

static void alone(int live, int kept)
{
    take(live);
    long charged = charged_kib(), threads = 1;
    for (int i = 0; i < live * 1000; i++)
        if (i % (live / kept)) {
            free(blocks[i]);
            blocks[i] = NULL;
        }
    long start = milliseconds(), small = 0, ended = 0, most = 1;
    long bound = (long)kept * 6000 + 8192;
    while (milliseconds() - start < (getenv("MALLOC_IN_FORCE") && strstr(getenv("MALLOC_IN_FORCE"), "libc") ? 3000 : 20000) && !(small && ended)) {
        usleep(10000);
        threads = status_kib("Threads:");
        if (threads > most) most = threads;
        if (!small && status_kib("VmRSS:") < bound) small = milliseconds() - start;
        if (small && threads == 1) ended = milliseconds() - start;
    }
    usleep(500000);
    printf("full: charged %ld MiB\n", charged >> 10);
    printf("small after %ld alone after %ld threads %ld at-most %ld rss %ld charged %ld\n", small, ended,
           status_kib("Threads:"), most, status_kib("VmRSS:") >> 10, charged_kib() >> 10);
}

static void contain(char **command)
{
    CHECK_EQ(unshare(CLONE_NEWCGROUP | CLONE_NEWNS), 0);
    CHECK_EQ(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    CHECK_EQ(umount2("/sys/fs/cgroup", MNT_DETACH), 0);
    CHECK_EQ(mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, NULL), 0);
    CHECK_EQ(setenv("GROUP", "/sys/fs/cgroup", 1), 0);
    execvp(command[0], command);
    CHECK(!"the command starts");
}

int main(int argc, char **argv)
{
    CHECK(argc >= 2);
    long n[4] = {0};
    if (!strcmp(argv[1], "contain") && argc > 2) contain(argv + 2);
    for (int i = 0; i < 4 && i + 2 < argc; i++) n[i] = atol(argv[i + 2]);
    CHECK(n[0] <= MOST / 1000);
    /* Not a part of what is measured. */
    for (int i = 0; i < MOST; i++) blocks[i] = (char *)1;
    memset(blocks, 0, sizeof blocks);
    if (!strcmp(argv[1], "keep")) keep(n[0], n[1], n[2]);
    else if (!strcmp(argv[1], "work")) work(n[0], n[1], n[2], n[3]);
    else if (!strcmp(argv[1], "until-null")) until_null();
    else if (!strcmp(argv[1], "alone")) alone(n[0], n[1]);
    else if (!strcmp(argv[1], "sit")) {
        take(n[0]);
        give(n[0], n[1]);
        puts("sits");
        fflush(stdout);
        pause();
    } else if (!strcmp(argv[1], "calls")) {
        while (access("/tmp/go", F_OK)) usleep(10000);
        for (int i = 0; i < n[0]; i++) {
            char *block = malloc(1 << 20);
            CHECK(block != NULL);
            memset(block, 1, 1 << 20);
            free(block);
        }
        usleep(500000);
    } else return 2;
    whole();
    return 0;
}
