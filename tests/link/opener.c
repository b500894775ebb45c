/* Opens the Rust library again and again, works in it on several threads and around a fork, closes it, while the C side
 * keeps glibc's malloc (or whichever is preloaded). */
#define NO_FORCE_CHECK
#include "../c/check.h"
#include <pthread.h>
#include <sys/wait.h>

static int (*face_work)(void);
static size_t (*face_live)(void);

static void *work(void *argument)
{
    char *text = strdup("of the C side");
    CHECK_EQ(face_work(), 0);
    CHECK(strcmp(text, "of the C side") == 0);
    free(text);
    return argument;
}

int main(int count, char **arguments)
{
    CHECK_EQ(count, 2);
    for (int round = 0; round < 10; round++) {
        void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
        if (!library) check_failed(__FILE__, __LINE__, "dlopen: ", dlerror());
        face_work = dlsym(library, "face_work");
        face_live = dlsym(library, "face_live");
        CHECK(face_work && face_live);
        pthread_t threads[3];
        for (int i = 0; i < 3; i++) CHECK_EQ(pthread_create(&threads[i], NULL, work, NULL), 0);
        for (int i = 0; i < 3; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
        CHECK(face_live() < 1 << 20);
        pid_t child = fork();
        if (child == 0) {
            work(NULL);
            _exit(0);
        }
        int status = -1;
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK_EQ(status, 0);
        dlclose(library);
        /* The handlers of a closed library must be gone. */
        child = fork();
        if (child == 0) _exit(0);
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK_EQ(status, 0);
    }
    puts("done");
    return 0;
}
