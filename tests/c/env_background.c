/* behaviour: memory that a sleeping program freed goes back to the kernel, after the time that purge_delay_ms says; with
 *   background:off no thread appears for that
 * source: docs/POLICY.md
 * glibc: exempt (options of brkmap's own)
 */
#include "env_run.h"

static void *blocks[64000];

/* Frees 64 MB in small blocks but every thousandth, and sleeps: for `ms` at most, or until the resident size is below 20 MiB.
 * Returns the highest number of threads. */
static long free_and_sleep(int ms)
{
    for (int i = 0; i < 64000; i++) {
        CHECK((blocks[i] = malloc(1000)) != NULL);
        memset(blocks[i], 1, 1000);
    }
    CHECK(status_kib("VmRSS") > 60000);
    long threads = 0;
    for (int i = 0; i < 64000; i++) {
        if (i % 1000) free(blocks[i]);
        /* The helper may be done before the last free. */
        long now = i % 1000 ? 0 : status_kib("Threads");
        if (now > threads) threads = now;
    }
    for (; ms > 0 && status_kib("VmRSS") > 20 << 10; ms -= 5) {
        long now = status_kib("Threads");
        if (now > threads) threads = now;
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
        CHECK(status_kib("VmRSS") < 20 << 10);
    } else if (!strcmp(part(), "late")) {
        free_and_sleep(1500);
        CHECK(status_kib("VmRSS") > 50 << 10);
    } else {
        CHECK_EQ(free_and_sleep(1000), 1);
    }
    return 0;
}
