/* behaviour: fork from one of many threads while others allocate: parent and child go on; the child frees old blocks,
 *   allocates, starts threads and forks again
 * source: fork(2), pthread_atfork(3); glibc manual, "Creating a Process" (malloc is usable in the child)
 * timeout: 60
 * ways: preload linked
 */
#include "check.h"
#include <pthread.h>
#include <sys/wait.h>

static volatile int stop;
static unsigned char *old[4][64];
static void *volatile passed[64];

static void *churn(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;
    while (!stop) {
        seed = seed * 1664525 + 1013904223;
        size_t size = (seed >> 10) % ((seed & 7) ? 600 : (seed & 8) ? 30000 : 300000);
        void *block = seed & 16 ? malloc(size) : calloc(1, size);
        CHECK(block != NULL);
        /* Some blocks change hands: the next thread to come by frees them. */
        if (seed & 32) block = __atomic_exchange_n(&passed[seed >> 26], block, __ATOMIC_ACQ_REL);
        free(block);
    }
    return NULL;
}

static void *in_child(void *argument)
{
    for (int i = 0; i < 300; i++) {
        void *block = malloc(i * 40);
        CHECK(block != NULL);
        free(block);
    }
    return argument;
}

static void child(void)
{
    alarm(60);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 64; j++) {
            CHECK(filled(old[i][j], 100 + j * 50, i + j));
            free(old[i][j]);
        }
    for (int i = 0; i < 64; i++) free(passed[i]);
    in_child(NULL);
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, in_child, NULL), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    pid_t grandchild = fork();
    if (!grandchild) {
        alarm(60);
        in_child(NULL);
        _exit(0);
    }
    int status;
    CHECK(waitpid(grandchild, &status, 0) == grandchild && status == 0);
    _exit(0);
}

int main(void)
{
    pthread_t threads[3];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 64; j++) {
            old[i][j] = malloc(100 + j * 50);
            CHECK(old[i][j] != NULL);
            fill(old[i][j], 100 + j * 50, i + j);
        }
    for (uintptr_t i = 0; i < 3; i++) CHECK_EQ(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)), 0);
    for (int round = 0; round < 400; round++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (!pid) child();
        free(malloc(500));
        int status;
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK_EQ(status, 0);
    }
    stop = 1;
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    return 0;
}
