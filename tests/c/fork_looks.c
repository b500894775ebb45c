/* behaviour: while a forked child shares the heap, the looks for memory that can go back copy next to nothing, so parent and
 *   child together do not need more than before; by _Fork, after which memory goes back though it is shared
 * source: fork(2), copy-on-write; docs/POLICY.md; proc_pid_smaps(5) Pss
 * timeout: 60
 * alone: it waits for what a thread of the library does in its own time
 */
#include "rollup.h"
#include <signal.h>
#include <sys/wait.h>

enum { SMALL = 600000, LARGE = 60, LARGE_BYTES = 100000 };
static void *small[SMALL], *large[LARGE];

/* KiB of anonymous memory, an OS page that two map counted half for each. */
static long share_of(pid_t process)
{
    return rollup(process, "\nPss_Anon:");
}

static void take_large(void)
{
    for (int i = 0; i < LARGE; i++) {
        CHECK((large[i] = malloc(LARGE_BYTES)) != NULL);
        memset(large[i], i, LARGE_BYTES);
    }
}

/* Enough at once that somebody looks what can go back; and time for that. */
static void free_large(void)
{
    for (int i = 0; i < LARGE; i++) free(large[i]);
    usleep(1200000);
}

int main(void)
{
    for (int i = 0; i < SMALL; i++) {
        CHECK((small[i] = malloc(32)) != NULL);
        memset(small[i], i, 32);
    }
    take_large();
    free_large();
    take_large();
    long before = share_of(getpid());
    pid_t child = _Fork();
    CHECK(child >= 0);
    if (!child)
        for (;;) pause();
    free_large();
    long after = share_of(getpid()) + share_of(child);
    kill(child, SIGKILL);
    CHECK_EQ(waitpid(child, NULL, 0), child);
    /* A byte of records for each small block would be 586. */
    if (after - before >= 400) CHECK_EQ(after, before);
    for (int i = 0; i < SMALL; i++) free(small[i]);
    return 0;
}
