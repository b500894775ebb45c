/* behaviour: fork in a signal handler that interrupted malloc or free of a single-threaded process: no deadlock, and both
 *   processes go on
 * source: POSIX signal-safety of fork(); glibc bug 4737
 * timeout: 60
 */
#include "check.h"
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

static volatile int forks;

static void handler(int number)
{
    int saved = errno;
    (void)number;
    pid_t pid = fork();
    if (pid == 0) _exit(7);
    int status = 0;
    if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 7) forks++;
    errno = saved;
}

int main(void)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    struct itimerval timer = {{0, 700}, {0, 700}}, off = {{0, 0}, {0, 0}};
    CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
    CHECK_EQ(setitimer(ITIMER_REAL, &timer, NULL), 0);
    void *blocks[64] = {NULL};
    unsigned seed = 1;
    while (forks < 400) {
        seed = seed * 1664525 + 1013904223;
        void **slot = &blocks[seed >> 26];
        free(*slot);
        *slot = malloc((seed >> 8) % ((seed & 15) ? 2000 : 400000));
        CHECK(*slot != NULL);
    }
    CHECK_EQ(setitimer(ITIMER_REAL, &off, NULL), 0);
    for (int i = 0; i < 64; i++) free(blocks[i]);
    return 0;
}
