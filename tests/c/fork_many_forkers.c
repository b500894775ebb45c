/* behaviour: several threads fork at the same time while others read lines with stdio (which allocates): no deadlock
 * source: fork(2); glibc bug 19431 (fork, stdio and malloc locks)
 * timeout: 60
 */
#include "check.h"
#include <pthread.h>
#include <sys/wait.h>

static volatile int stop;

static void *read_lines(void *argument)
{
    while (!stop) {
        FILE *file = fopen("/proc/self/cmdline", "re");
        if (!file) continue;
        char *line = NULL;
        size_t room = 0;
        if (getdelim(&line, &room, 0, file) > 0) CHECK(line[0] != 0);
        free(line);
        fclose(file);
    }
    return argument;
}

static void *forks(void *argument)
{
    for (int i = 0; i < 150; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (!pid) {
            alarm(60);
            char *text = NULL;
            CHECK(asprintf(&text, "%d %s", i, "in the child") > 0);
            free(text);
            _exit(0);
        }
        int status;
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK_EQ(status, 0);
    }
    return argument;
}

int main(void)
{
    pthread_t readers[3], forkers[3];
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_create(&readers[i], NULL, read_lines, NULL), 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_create(&forkers[i], NULL, forks, NULL), 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_join(forkers[i], NULL), 0);
    stop = 1;
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_join(readers[i], NULL), 0);
    return 0;
}
