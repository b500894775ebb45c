/* behaviour: memory that is freed just after the last was given back, by a program that then only sleeps, goes back too
 * source: docs/POLICY.md
 * glibc: exempt (nothing goes back by itself)
 * timeout: 120
 * alone: it waits for what a thread of the library does in its own time
 */
#include "helper.h"

int main(void)
{
    for (int round = 0; round < 4; round++) {
        with_helper(1);
        for (int ms = 0; status_kib("Threads:") > 1 && ms < 20000; ms++) usleep(1000);
        CHECK_EQ(status_kib("Threads:"), 1);
        free_much();
        falls_below_kib(12 << 10);
    }
    return 0;
}
