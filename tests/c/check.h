/* What the behaviour programs share: a check that names its place, and the check that the malloc meant is in force. */
#ifndef CHECK_H
#define CHECK_H

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(condition)                                                                                          \
    do {                                                                                                          \
        if (!(condition)) check_failed(__FILE__, __LINE__, #condition, "");                                       \
    } while (0)

/* With the values that were compared. */
#define CHECK_EQ(left, right)                                                                                     \
    do {                                                                                                          \
        long long left_ = (long long)(left), right_ = (long long)(right);                                         \
        if (left_ != right_) {                                                                                    \
            char values_[80];                                                                                     \
            snprintf(values_, sizeof values_, " (%lld and %lld)", left_, right_);                                 \
            check_failed(__FILE__, __LINE__, #left " == " #right, values_);                                       \
        }                                                                                                         \
    } while (0)

/* A call that must fail with this errno; the errno before the call differs from it. */
#define CHECK_FAILS(call, error)                                                                                  \
    do {                                                                                                          \
        errno = 0;                                                                                                \
        CHECK((call) == NULL);                                                                                    \
        CHECK_EQ(errno, error);                                                                                   \
    } while (0)

/* Written with write(2) and ended with _exit(2): a failed check must not allocate. */
__attribute__((noreturn, unused)) static void check_failed(const char *file, int line, const char *what, const char *more)
{
    char text[512];
    int length = snprintf(text, sizeof text, "%s:%d: does not hold: %s%s (errno %d)\n", file, line, what, more, errno);
    if (length > (int)sizeof text) length = sizeof text;
    if (write(2, text, length) < 0) _exit(2);
    _exit(1);
}

/* Hides a value from the compiler, so that it neither warns about nor folds what is done with it. */
__attribute__((unused)) static void *opaque(void *pointer)
{
    __asm__ volatile("" : "+r"(pointer));
    return pointer;
}

__attribute__((unused)) static size_t number(size_t value)
{
    __asm__ volatile("" : "+r"(value));
    return value;
}

/* A pattern that differs by position and by seed. */
__attribute__((unused)) static void fill(void *block, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++) ((unsigned char *)block)[i] = (unsigned char)(seed * 31 + i * 7 + (i >> 8));
}

__attribute__((unused)) static int filled(const void *block, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        if (((const unsigned char *)block)[i] != (unsigned char)(seed * 31 + i * 7 + (i >> 8))) return 0;
    return 1;
}

__attribute__((unused)) static int all_bytes(const void *block, size_t size, unsigned char value)
{
    for (size_t i = 0; i < size; i++)
        if (((const unsigned char *)block)[i] != value) return 0;
    return 1;
}

/* A number in kB from /proc/self/status, read without allocating. */
__attribute__((unused)) static long status_kib(const char *field)
{
    char text[4096];
    long value = -1;
    size_t length = 0;
    ssize_t got;
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    while ((got = read(fd, text + length, sizeof text - 1 - length)) > 0) length += got;
    close(fd);
    text[length] = 0;
    char *at = strstr(text, field);
    if (at) value = strtol(at + strlen(field) + 1, NULL, 10);
    return value;
}

#ifndef NO_FORCE_CHECK
/* The runner says which object must answer for malloc; a program that would test another one ends here. */
__attribute__((constructor)) static void check_force(void)
{
    const char *wanted = getenv("MALLOC_IN_FORCE");
    if (!wanted) return;
    Dl_info info;
    CHECK(dladdr(dlsym(RTLD_DEFAULT, "malloc"), &info) != 0);
    if (!strstr(info.dli_fname, wanted)) check_failed(__FILE__, __LINE__, "malloc comes from the object under test: ", info.dli_fname);
}
#endif

#ifdef IN_THREAD
/* The whole test runs in a thread, while another one allocates now and then. */
#include <pthread.h>
static int test_main(void);

static void *check_neighbour(void *argument)
{
    for (unsigned i = 0;; i++) {
        void *block = malloc(i % 300);
        usleep(1000);
        free(block);
    }
    return argument;
}

static void *check_thread(void *argument)
{
    exit(test_main());
    return argument;
}

int main(void)
{
    pthread_t neighbour, tester;
    CHECK_EQ(pthread_create(&neighbour, NULL, check_neighbour, NULL), 0);
    CHECK_EQ(pthread_create(&tester, NULL, check_thread, NULL), 0);
    pthread_join(tester, NULL);
    return 1;
}
#define main static test_main
#endif

#endif
