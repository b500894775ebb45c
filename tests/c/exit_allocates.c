/* behaviour: allocation works in atexit functions and in late destructors; blocks from start to end stay whole
 * source: exit(3), atexit(3)
 * ways: preload linked
 */
#include "check.h"

static unsigned char *old;
static int steps;

static void work(void)
{
    for (int i = 0; i < 200; i++) {
        void *block = malloc(i * 100), *zero = calloc(1, i * 10 + 1);
        CHECK(block && zero);
        free(block);
        free(zero);
    }
    CHECK(filled(old, 4000, 1));
    steps++;
}

static void at_exit_again(void) { work(); }

static void at_exit_first(void)
{
    work();
    CHECK_EQ(atexit(at_exit_again), 0);
}

__attribute__((destructor(101))) static void very_late(void)
{
    work();
    free(old);
    if (steps != 4) _exit(9);
    if (write(1, "end\n", 4) != 4) _exit(10);
}

__attribute__((destructor(65000))) static void late(void) { work(); }

int main(void)
{
    old = malloc(4000);
    fill(old, 4000, 1);
    CHECK_EQ(atexit(at_exit_first), 0);
    return 0;
}
