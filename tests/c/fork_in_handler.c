/* behaviour: fork in a signal handler that interrupted malloc or free of a single-threaded process: no deadlock, and both
 *   processes go on
 * source: POSIX signal-safety of fork(); glibc bug 4737
 * timeout: 60
 */
#include "check.h"
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

enum { FORKS = 400 };
static volatile int forks;

static void arm(void)
{
    struct itimerval once = {{0, 0}, {0, 700}};
    if (setitimer(ITIMER_REAL, &once, NULL)) abort();
}

static void handler(int number)
{
    int saved = errno;
    (void)number;
    pid_t pid = fork();
    if (pid == 0) _exit(7);
    int status = 0;
    if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 7) forks++;
    /* Armed anew each time and not periodic: where a fork takes longer than the period, main would never come to a step. */
    if (forks < FORKS) arm();
    errno = saved;
}

int main(void)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
    arm();
    void *blocks[64] = {NULL};
    unsigned seed = 1;
    while (forks < FORKS) {
        seed = seed * 1664525 + 1013904223;
        void **slot = &blocks[seed >> 26];
        free(*slot);
        *slot = malloc((seed >> 8) % ((seed & 15) ? 2000 : 400000));
        CHECK(*slot != NULL);
    }
    for (int i = 0; i < 64; i++) free(blocks[i]);
    return 0;
}
