/* behaviour: a program starts and works under RLIMIT_AS of 300 MB and of 32 MiB
 * source: setrlimit(2) RLIMIT_AS; shells' `ulimit -v`
 */
#include "check.h"
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void *work(void *argument)
{
    for (int i = 0; i < 2000; i++) {
        void *block = malloc(i * 20);
        CHECK(block != NULL);
        free(block);
    }
    return argument;
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        pthread_attr_t attributes;
        pthread_t thread;
        CHECK_EQ(pthread_attr_init(&attributes), 0);
        CHECK_EQ(pthread_attr_setstacksize(&attributes, 65536), 0);
        CHECK_EQ(pthread_create(&thread, &attributes, work, NULL), 0);
        work(NULL);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        unsigned char *block = malloc(8 << 20);
        CHECK(block != NULL);
        memset(block, 1, 8 << 20);
        free(block);
        return 0;
    }
    static const size_t limits[] = {300000000, 32 << 20};
    for (int i = 0; i < 2; i++) {
        pid_t pid = fork();
        if (!pid) {
            struct rlimit limit = {limits[i], limits[i]};
            CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
            execl("/proc/self/exe", argv[0], "limited", (char *)NULL);
            _exit(127);
        }
        int status;
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK_EQ(status, 0);
    }
    return 0;
}
