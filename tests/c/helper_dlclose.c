/* behaviour: a library that is closed while memory goes back in the background takes its thread along, or stays and does its work
 * source: dlclose(3); docs/POLICY.md
 * ways: loaded
 * glibc: exempt (there is no library to close)
 * alone: it waits for what a thread of the library does in its own time
 */
#include "check.h"

static void *blocks[32000];

static void free_much(void *(*take)(size_t), void (*give)(void *))
{
    for (int i = 0; i < 32000; i++) {
        CHECK((blocks[i] = take(1000)) != NULL);
        memset(blocks[i], 1, 1000);
    }
    for (int i = 0; i < 32000; i++) give(blocks[i]);
}

int main(void)
{
    for (int round = 0; round < 3; round++) {
        void *handle = dlopen(getenv("BRKMAP_LIBRARY"), RTLD_NOW);
        if (!handle) check_failed(__FILE__, __LINE__, "dlopen: ", dlerror());
        void *(*take)(size_t) = dlsym(handle, "malloc");
        void (*give)(void *) = dlsym(handle, "free");
        CHECK(take && give);
        free_much(take, give);
        /* For a moment after the last one ended no new one comes; and one may be gone again before a second look. */
        long now = status_kib("Threads:");
        for (int ms = 0; ms < 20000 && now != 2; ms++) {
            if (ms % 200 == 199) free_much(take, give);
            usleep(1000);
            now = status_kib("Threads:");
        }
        CHECK_EQ(now, 2);
        CHECK_EQ(dlclose(handle), 0);
        /* Either the code is gone and nobody runs it, or it stays and goes on. */
        void *still = dlopen(getenv("BRKMAP_LIBRARY"), RTLD_NOW | RTLD_NOLOAD);
        if (!still) CHECK_EQ(status_kib("Threads:"), 1);
        for (int ms = 0; ms < 10000 && status_kib("VmRSS:") > 12 << 10; ms += 10) usleep(10000);
        CHECK(status_kib("VmRSS:") <= 12 << 10);
        if (still) CHECK_EQ(dlclose(still), 0);
    }
    return 0;
}
