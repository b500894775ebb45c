/* Refusing system calls to oneself with seccomp; needs no privilege. */
#ifndef SECCOMP_H
#define SECCOMP_H

#include "../c/check.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* From now on the calls in `numbers` fail with `error`, in every thread and after exec. */
__attribute__((unused)) static void refuse(const int *numbers, int count, int error)
{
    struct sock_filter filter[40];
    int at = 0;
    CHECK(count <= 16);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < count; i++) {
        filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, numbers[i], 0, 1);
        filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error);
    }
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog list = {at, filter};
    CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    CHECK_EQ(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &list), 0);
}

/* Allocates and frees in every size range, from this thread and from another; contents are checked. */
#include <malloc.h>
#include <pthread.h>

__attribute__((unused)) static void *exercise(void *argument)
{
    static const size_t sizes[] = {16, 100, 1000, 5000, 20000, 60000, 100000, 200000, 1500000};
    struct { unsigned char *block; size_t size; } slots[200] = {{NULL, 0}};
    unsigned seed = 7;
    for (int turn = 0; turn < 4000; turn++) {
        seed = seed * 1664525 + 1013904223;
        unsigned at = (seed >> 8) % 200, look = turn % 64;
        size_t size = sizes[(seed >> 20) % (turn % 16 ? 5 : 9)] + look;
        if (slots[at].block) CHECK(filled(slots[at].block, slots[at].size < 90 ? slots[at].size : 90, at));
        if (slots[at].block && seed & 64) {
            unsigned char *moved = realloc(slots[at].block, size);
            if (!moved) CHECK_EQ(errno, ENOMEM);
            else slots[at].block = moved, slots[at].size = size;
        } else {
            free(slots[at].block);
            slots[at].size = size;
            errno = 0;
            slots[at].block = seed & 128 ? calloc(1, size) : seed & 256 ? memalign(4096, size) : malloc(size);
            if (!slots[at].block) CHECK_EQ(errno, ENOMEM);
            else if (seed & 128) CHECK(all_bytes(slots[at].block, size, 0));
        }
        if (slots[at].block) {
            CHECK(malloc_usable_size(slots[at].block) >= slots[at].size);
            fill(slots[at].block, slots[at].size < 90 ? slots[at].size : 90, at);
        }
        if (turn % 1000 == 500) malloc_trim(0);
    }
    for (int i = 0; i < 200; i++) free(slots[i].block);
    return argument;
}

__attribute__((unused)) static void exercise_with_threads(void)
{
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) CHECK_EQ(pthread_create(&threads[i], NULL, exercise, NULL), 0);
    exercise(NULL);
    for (int i = 0; i < 2; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
}

#endif
