/* behaviour: what a program frees while a forked child shares it does not go back, so that the child has nothing more to itself;
 *   it goes back when the child has ended or runs another program
 * source: fork(2), execve(2); docs/POLICY.md "What a fork costs"; proc_pid_smaps(5)
 * glibc: differs (what is free below live blocks stays resident until malloc_trim is called)
 * timeout: 60
 * alone: it waits for what a thread of the library does in its own time
 */
#include "rollup.h"
#include <signal.h>
#include <sys/wait.h>

enum { SMALL = 40000, BYTES = 1000 };
static void *small[SMALL];

static void fill_all(void)
{
    for (int i = 0; i < SMALL; i++) {
        CHECK((small[i] = malloc(BYTES)) != NULL);
        memset(small[i], i, BYTES);
    }
}

/* All but every 32nd: whole OS pages between them. */
static void free_most(void)
{
    for (int i = 0; i < SMALL; i++)
        if (i % 32) free(small[i]);
}

static void free_rest(void)
{
    for (int i = 0; i < SMALL; i += 32) free(small[i]);
}

/* The resident size falls below that within a few seconds; longer where other work keeps the machine busy. */
static void expect_fall(long limit)
{
    const char *object = getenv("MALLOC_IN_FORCE");
    /* Under another malloc it does not fall however long one waits. */
    int most = object && strstr(object, "brkmap") ? 300 : 60;
    for (int tries = 0; rollup(getpid(), "\nRss:") > limit; tries++) {
        CHECK(tries < most);
        usleep(100000);
    }
}

int main(int count, char **words)
{
    if (count > 1) {
        /* The program that a child becomes. */
        for (;;) pause();
    }
    fill_all();
    long full = rollup(getpid(), "\nRss:");
    pid_t child = fork();
    CHECK(child >= 0);
    if (!child)
        for (;;) pause();
    free_most();
    long own = rollup(child, "\nPrivate_Dirty:");
    usleep(1500000);
    CHECK(rollup(child, "\nPrivate_Dirty:") < own + 400);
    CHECK(rollup(getpid(), "\nRss:") > full - 4000);
    kill(child, SIGKILL);
    CHECK_EQ(waitpid(child, NULL, 0), child);
    expect_fall(full / 2);
    free_rest();

    fill_all();
    child = fork();
    CHECK(child >= 0);
    if (!child) {
        execl("/proc/self/exe", words[0], "child", NULL);
        _exit(1);
    }
    free_most();
    expect_fall(full / 2);
    kill(child, SIGKILL);
    CHECK_EQ(waitpid(child, NULL, 0), child);
    free_rest();
    return 0;
}
