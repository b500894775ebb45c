/* behaviour: a program with one thread may enter a new user namespace: at once without a helper (background:off), and else as
 *   soon as its freed memory has gone back, a few seconds at most. So may `unshare -U`, at once
 * source: unshare(2) EINVAL (CLONE_NEWUSER and several threads); docs/LIMITS.md
 * timeout: 60
 * alone: it waits for what a thread of the library does in its own time
 */
#include "env_run.h"
#include "helper.h"
#include <sched.h>

int main(void)
{
    if (!part()) {
        PASSES("alone", "BRKMAP_BACKGROUND=off");
        PASSES("patient", "BRKMAP_BACKGROUND=auto");
        CHECK_EQ(system("unshare -U true"), 0);
        return 0;
    }
    if (!strcmp(part(), "alone")) {
        free_much();
        CHECK_EQ(status_kib("Threads:"), 1);
        CHECK_EQ(unshare(CLONE_NEWUSER), 0);
        return 0;
    }
    with_helper(1);
    int ms = 0;
    while (unshare(CLONE_NEWUSER) != 0) {
        CHECK_EQ(errno, EINVAL);
        CHECK(on_brkmap());
        usleep(10000);
        CHECK((ms += 10) < 5000);
    }
    /* In it all goes on: memory is taken, freed, and goes back. */
    with_helper(1);
    falls_below_kib(12 << 10);
    return 0;
}
