/* behaviour: vfork with exec, posix_spawn, system and popen work from a threaded process that allocates
 * source: vfork(2), posix_spawn(3), system(3), popen(3)
 * timeout: 60
 */
#include "check.h"
#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;
static volatile int stop;

static void *churn(void *argument)
{
    for (unsigned i = 0; !stop; i++) free(malloc(i % 5000));
    return argument;
}

int main(void)
{
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, churn, NULL), 0);
    for (int i = 0; i < 20; i++) {
        int status;
        char *block = malloc(1000 + i);
        fill(block, 1000, i);
        pid_t pid = vfork();
        if (!pid) {
            execl("/bin/true", "true", (char *)NULL);
            _exit(127);
        }
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK_EQ(status, 0);
        char *arguments[] = {"sh", "-c", "exit 5", NULL};
        CHECK_EQ(posix_spawn(&pid, "/bin/sh", NULL, NULL, arguments, environ), 0);
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK_EQ(WEXITSTATUS(status), 5);
        CHECK_EQ(WEXITSTATUS(system("exit 6")), 6);
        FILE *pipe = popen("echo spoken", "re");
        char line[16] = "";
        CHECK(pipe != NULL && fgets(line, sizeof line, pipe) != NULL);
        CHECK(strcmp(line, "spoken\n") == 0);
        CHECK_EQ(pclose(pipe), 0);
        CHECK(filled(block, 1000, i));
        free(block);
    }
    stop = 1;
    CHECK_EQ(pthread_join(thread, NULL), 0);
    return 0;
}
