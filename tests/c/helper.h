/* For the tests of the thread that gives memory back: makes it appear, and waits for it to go. */
#ifndef HELPER_H
#define HELPER_H

#include "check.h"

enum { HELPER_BLOCKS = 32000 };
static void *helper_blocks[HELPER_BLOCKS];

__attribute__((unused)) static int on_brkmap(void)
{
    const char *object = getenv("MALLOC_IN_FORCE");
    return object && strstr(object, "brkmap") != NULL;
}

/* Takes 32 MB in small blocks and frees all but every thousandth; what was kept before is freed. */
__attribute__((unused)) static void free_much(void)
{
    for (int i = 0; i < HELPER_BLOCKS; i++) free(helper_blocks[i]);
    for (int i = 0; i < HELPER_BLOCKS; i++) {
        CHECK((helper_blocks[i] = malloc(1000)) != NULL);
        memset(helper_blocks[i], 1, 1000);
    }
    for (int i = 0; i < HELPER_BLOCKS; i++)
        if (i % 1000) {
            free(helper_blocks[i]);
            helper_blocks[i] = NULL;
        }
}

/* Frees much, and sees to it that the helper is there, in a process that has `threads` threads of its own. Nothing is there
 * under another malloc. */
__attribute__((unused)) static void with_helper(int threads)
{
    free_much();
    if (!on_brkmap()) return;
    /* For a moment after the last one ended no new one comes; and one may be gone again before a second look. */
    long now = status_kib("Threads:");
    for (int ms = 0; ms < 20000 && now != threads + 1; ms++) {
        if (ms % 200 == 199) free_much();
        usleep(1000);
        now = status_kib("Threads:");
    }
    CHECK_EQ(now, threads + 1);
}

/* The resident size falls below what is given, by itself. */
__attribute__((unused)) static void falls_below_kib(long kib)
{
    if (!on_brkmap()) return;
    for (int ms = 0; ms < 10000 && status_kib("VmRSS:") > kib; ms += 5) usleep(5000);
    CHECK(status_kib("VmRSS:") <= kib);
}

#endif
