/* behaviour: a handler may leave by siglongjmp when what it interrupts is not malloc itself; blocks made before the jump
 *   stay whole and can be freed
 * source: sigsetjmp(3), signal-safety(7)
 */
#include "check.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>

static sigjmp_buf place;
static volatile sig_atomic_t outside;
static void handler(int number)
{
    (void)number;
    if (outside) siglongjmp(place, 1);
}

int main(void)
{
    struct sigaction action = {.sa_handler = handler};
    struct itimerval timer = {{0, 500}, {0, 500}}, off = {{0, 0}, {0, 0}};
    static unsigned char *volatile blocks[300];
    volatile int jumps = 0;
    CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
    CHECK_EQ(setitimer(ITIMER_REAL, &timer, NULL), 0);
    while (jumps < 300) {
        if (sigsetjmp(place, 1) == 0) {
            blocks[jumps] = malloc(jumps * 30 + 1);
            CHECK(blocks[jumps] != NULL);
            fill(blocks[jumps], jumps * 30 + 1, jumps);
            outside = 1;
            for (;;) outside = 1;
        }
        outside = 0;
        jumps++;
    }
    CHECK_EQ(setitimer(ITIMER_REAL, &off, NULL), 0);
    for (int i = 0; i < 300; i++) {
        CHECK(filled(blocks[i], i * 30 + 1, i));
        free(blocks[i]);
    }
    return 0;
}
