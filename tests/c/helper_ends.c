/* behaviour: while memory goes back in the background a program ends in each way as ever: exit, quick_exit, _exit, return from
 *   main, pthread_exit of the main thread, a signal; it execs, forks and vforks, from the main thread and from another one
 * source: exit(3), quick_exit(3), pthread_exit(3), execve(2), fork(2), vfork(2)
 * cases: list
 * alone: it waits for what a thread of the library does in its own time
 */
#include "helper.h"
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

static int wait_for(pid_t pid)
{
    int status;
    CHECK(pid > 0);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    return status;
}

static void spawns(void)
{
    for (int i = 0; i < 20; i++) {
        char *words[] = {"true", NULL};
        pid_t pid;
        CHECK_EQ(posix_spawn(&pid, "/bin/true", NULL, NULL, words, environ), 0);
        CHECK_EQ(wait_for(pid), 0);
        pid = vfork();
        if (!pid) {
            execl("/bin/true", "true", (char *)NULL);
            _exit(1);
        }
        CHECK_EQ(wait_for(pid), 0);
        pid = fork();
        if (!pid) {
            /* Its own helper is not here; it can have one. */
            CHECK_EQ(status_kib("Threads:"), 1);
            if (i % 8 == 0) with_helper(1);
            _exit(0);
        }
        CHECK_EQ(wait_for(pid), 0);
    }
}

static void *by_exec(void *argument)
{
    execl("/bin/true", "true", (char *)NULL);
    return argument;
}

/* The main thread is gone by then; what is left ends with the process. */
static void *ends_last(void *argument)
{
    usleep(20000);
    free(malloc(3000));
    exit(0);
    return argument;
}

int main(int argc, char **argv)
{
    static const char *cases[] = {"return", "exit", "quick_exit", "_exit", "pthread_exit", "signal", "exec", "exec-thread", "spawn"};
    pthread_t thread;
    CHECK_EQ(argc, 2);
    if (!strcmp(argv[1], "--list")) {
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) puts(cases[i]);
        return 0;
    }
    with_helper(1);
    if (!strcmp(argv[1], "exit")) exit(0);
    if (!strcmp(argv[1], "quick_exit")) quick_exit(0);
    if (!strcmp(argv[1], "_exit")) _exit(0);
    if (!strcmp(argv[1], "exec")) by_exec(NULL);
    if (!strcmp(argv[1], "spawn")) spawns();
    if (!strcmp(argv[1], "signal")) {
        pid_t pid = fork();
        if (!pid) {
            with_helper(1);
            pause();
        }
        usleep(50000);
        CHECK_EQ(kill(pid, SIGTERM), 0);
        CHECK_EQ(wait_for(pid), SIGTERM);
    }
    if (!strcmp(argv[1], "exec-thread")) {
        CHECK_EQ(pthread_create(&thread, NULL, by_exec, NULL), 0);
        pause();
    }
    if (!strcmp(argv[1], "pthread_exit")) {
        CHECK_EQ(pthread_create(&thread, NULL, ends_last, NULL), 0);
        pthread_exit(NULL);
    }
    return 0;
}
