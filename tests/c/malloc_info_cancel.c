/* behaviour: a thread that is cancelled while malloc_info writes leaves no lock held: others go on to allocate, take
 *   statistics and fork
 * source: pthreads(7): fprintf and the like may be cancellation points
 * timeout: 60
 */
#include "check.h"
#include <malloc.h>
#include <pthread.h>
#include <sys/wait.h>

static int cleaned;

static void note(void *argument) { (void)argument, cleaned++; }

static void *work(void *argument)
{
    pthread_cleanup_push(note, NULL);
    /* Nobody reads the other end: sooner or later the write does not come back. */
    for (;;) CHECK_EQ(malloc_info(0, argument), 0);
    pthread_cleanup_pop(0);
    return NULL;
}

int main(void)
{
    for (int round = 0; round < 20; round++) {
        int ends[2];
        CHECK_EQ(pipe(ends), 0);
        CHECK_EQ(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
        FILE *stream = fdopen(ends[1], "w");
        CHECK(stream != NULL);
        CHECK_EQ(setvbuf(stream, NULL, _IONBF, 0), 0);
        pthread_t thread;
        void *result;
        CHECK_EQ(pthread_create(&thread, NULL, work, stream), 0);
        usleep(round % 2 ? 30000 : 200);
        CHECK_EQ(pthread_cancel(thread), 0);
        CHECK_EQ(pthread_join(thread, &result), 0);
        CHECK(result == PTHREAD_CANCELED);
        CHECK_EQ(cleaned, round + 1);
        void *block = malloc(round * 1000);
        CHECK(block != NULL);
        free(block);
        CHECK(mallinfo2().arena > 0);
        malloc_trim(0);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (!pid) _exit(malloc(100) ? 0 : 1);
        int status;
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK_EQ(status, 0);
        close(ends[0]);
        close(ends[1]);
    }
    return 0;
}
