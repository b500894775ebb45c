/* behaviour: memory that a sleeping program freed goes back to the kernel, after the time that purge_delay_ms says; with
 *   background:off no thread appears for that
 * source: docs/POLICY.md
 * glibc: exempt (options of brkmap's own)
 */
#include "env_run.h"

static void *blocks[64000];

static long more(long left, long right)
{
    return left > right ? left : right;
}

/* Frees 64 MB in small blocks but every thousandth, and sleeps: for `ms` at most, or until the resident size is at most 20 MiB.
 * Returns the highest number of threads. */
static long free_and_sleep(int ms)
{
    for (int i = 0; i < 64000; i++) {
        CHECK((blocks[i] = malloc(1000)) != NULL);
        memset(blocks[i], 1, 1000);
    }
    CHECK(status_kib("VmRSS") > 60000);
    /* On a machine with other work a part may have gone back before the last block is freed. */
    long threads = 0;
    for (int i = 0; i < 64000; i++) {
        if (i % 1000) free(blocks[i]);
        if (i % 500 == 0) threads = more(threads, status_kib("Threads"));
    }
    threads = more(threads, status_kib("Threads"));
    for (; ms > 0 && status_kib("VmRSS") > 20 << 10; ms -= 5) {
        threads = more(threads, status_kib("Threads"));
        usleep(5000);
    }
    return threads;
}

int main(void)
{
    if (!part()) {
        PASSES("soon", "BRKMAP_PURGE_DELAY_MS=20");
        PASSES("soon", "BRKMAP_CONF=background:on");
        PASSES("late", "BRKMAP_PURGE_DELAY_MS=600000");
        PASSES("alone", "BRKMAP_BACKGROUND=off");
        return 0;
    }
    if (!strcmp(part(), "soon")) {
        CHECK_EQ(free_and_sleep(10000), 2);
        CHECK(status_kib("VmRSS") <= 20 << 10);
    } else if (!strcmp(part(), "late")) {
        free_and_sleep(1500);
        CHECK(status_kib("VmRSS") > 50 << 10);
    } else {
        CHECK_EQ(free_and_sleep(1000), 1);
    }
    return 0;
}
