/* behaviour: while memory goes back in the background no signal is handled by any thread but the program's own: signals to the
 *   process, interval timers, POSIX timers; one that the program blocks stays pending; pthread_kill reaches its thread
 * source: signal(7); pthread_sigmask(3); timer_create(2)
 * timeout: 60
 * alone: it waits for what a thread of the library does in its own time
 */
#include "helper.h"
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

static pid_t own[2];
static volatile int handled, strangers;

static void on_signal(int number)
{
    (void)number;
    pid_t me = (pid_t)syscall(SYS_gettid);
    __atomic_add_fetch(&handled, 1, __ATOMIC_SEQ_CST);
    if (me != own[0] && me != own[1]) __atomic_add_fetch(&strangers, 1, __ATOMIC_SEQ_CST);
}

static void *second(void *argument)
{
    sigset_t none;
    sigemptyset(&none);
    own[1] = (pid_t)syscall(SYS_gettid);
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, &none, NULL), 0);
    while (!*(volatile int *)argument) usleep(1000);
    return NULL;
}

/* It is known before it can handle a signal. */
static void start_second(pthread_t *thread, void *stop)
{
    sigset_t all, before;
    sigfillset(&all);
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, &all, &before), 0);
    CHECK_EQ(pthread_create(thread, NULL, second, stop), 0);
    while (!own[1]) usleep(1000);
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
}

int main(void)
{
    static const int signals[] = {SIGUSR1, SIGPROF, SIGALRM, SIGVTALRM, SIGTERM, SIGCHLD, SIGWINCH, SIGURG};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    static volatile int stop;
    pthread_t thread;
    own[0] = getpid();
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) CHECK_EQ(sigaction(signals[i], &action, NULL), 0);
    CHECK_EQ(sigaction(SIGRTMIN + 3, &action, NULL), 0);
    start_second(&thread, (void *)&stop);

    struct itimerval profile = {{0, 1000}, {0, 1000}};
    CHECK_EQ(setitimer(ITIMER_PROF, &profile, NULL), 0);
    CHECK_EQ(setitimer(ITIMER_REAL, &profile, NULL), 0);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3};
    struct itimerspec every = {{0, 1000000}, {0, 1000000}};
    timer_t timer;
    CHECK_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    CHECK_EQ(timer_settime(timer, 0, &every, NULL), 0);
    for (int round = 0; round < 5; round++) {
        with_helper(2);
        for (int i = 0; i < 200; i++) {
            CHECK_EQ(kill(own[0], signals[i % 8]), 0);
            usleep(500);
        }
        CHECK_EQ(pthread_kill(thread, SIGUSR1), 0);
        /* Both threads of the program block all: nobody handles anything, the helper neither. */
        sigset_t all, before;
        sigfillset(&all);
        CHECK_EQ(pthread_sigmask(SIG_BLOCK, &all, &before), 0);
        stop = 1;
        CHECK_EQ(pthread_join(thread, NULL), 0);
        int had = handled;
        with_helper(1);
        for (int i = 0; i < 50; i++) CHECK_EQ(kill(own[0], SIGUSR1), 0);
        usleep(50000);
        CHECK_EQ(handled, had);
        sigset_t waiting;
        CHECK_EQ(sigpending(&waiting), 0);
        CHECK(sigismember(&waiting, SIGUSR1));
        stop = 0;
        own[1] = 0;
        CHECK_EQ(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
        CHECK(handled > had);
        start_second(&thread, (void *)&stop);
    }
    CHECK_EQ(timer_delete(timer), 0);
    stop = 1;
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK(handled > 1000);
    CHECK_EQ(strangers, 0);
    return 0;
}
