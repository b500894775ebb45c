/* behaviour: eight threads that allocate, free waves of memory and fork, with giving back at work all the time: every child
 *   finds its blocks whole, allocates, frees, starts a thread and ends; nobody hangs, no zombie stays, and giving back goes
 *   on in the parent
 * source: fork(2); glibc bug 19431; docs/POLICY.md
 * env: BRKMAP_PURGE_DELAY_MS=1
 * extended: FORKS=80000
 * timeout: 120
 */
#include "check.h"
#include <pthread.h>
#include <sys/wait.h>

enum { THREADS = 8, WAVE = 3000, KEPT = 200, PERIOD = 40 };

struct own {
    unsigned char *kept[KEPT], *wave[WAVE];
    int forks;
};
static struct own threads[THREADS];
static int most_tasks;

static unsigned long size_of(int i)
{
    return 64 + (unsigned)i * 2654435761u % 1500;
}

/* Threads of this process; read without allocating. */
static int tasks(void)
{
    return (int)status_kib("Threads:");
}

/* Fills and frees some MB: enough for the engine to want to give it back. */
static void wave(struct own *own, unsigned seed)
{
    for (int i = 0; i < WAVE; i++) {
        CHECK((own->wave[i] = i % 3 ? malloc(size_of(i)) : calloc(1, size_of(i))) != NULL);
        if (i % 3 == 0) CHECK(all_bytes(own->wave[i], size_of(i), 0));
        fill(own->wave[i], 64, seed + i);
    }
    for (int i = 0; i < WAVE; i++) {
        CHECK(filled(own->wave[i], 64, seed + i));
        free(own->wave[i]);
    }
}

static void keep(struct own *own, int from)
{
    for (int i = from; i < KEPT; i++) {
        CHECK((own->kept[i] = malloc(size_of(i))) != NULL);
        fill(own->kept[i], size_of(i), i);
    }
}

static void drop(struct own *own, int from)
{
    for (int i = from; i < KEPT; i++) {
        CHECK(filled(own->kept[i], size_of(i), i));
        free(own->kept[i]);
    }
}

static void *in_child(void *argument)
{
    void *block = malloc(100000);
    CHECK(block != NULL);
    memset(block, 1, 100000);
    free(block);
    return argument;
}

static void child(struct own *own, int number)
{
    alarm(60);
    drop(own, KEPT / 2);
    keep(own, KEPT / 2);
    if (number % 8 == 0) wave(own, number);
    if (number % 16 == 0) {
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, in_child, NULL), 0);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        usleep(5000);
    }
    drop(own, 0);
    _exit(0);
}

static void *storm(void *argument)
{
    struct own *own = argument;
    keep(own, 0);
    for (int i = 0; i < own->forks; i++) {
        if (i % PERIOD == 0) wave(own, i);
        int now = tasks();
        int most = __atomic_load_n(&most_tasks, __ATOMIC_RELAXED);
        while (now > most && !__atomic_compare_exchange_n(&most_tasks, &most, now, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (!pid) child(own, i);
        int status;
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK_EQ(status, 0);
    }
    drop(own, 0);
    return NULL;
}

int main(void)
{
    const char *scale = getenv("FORKS"), *object = getenv("MALLOC_IN_FORCE");
    int forks = scale ? atoi(scale) : 2400;
    pthread_t ids[THREADS];
    for (int i = 0; i < THREADS; i++) {
        threads[i].forks = forks / THREADS;
        CHECK_EQ(pthread_create(&ids[i], NULL, storm, &threads[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) CHECK_EQ(pthread_join(ids[i], NULL), 0);
    /* Not one child is left, dead or alive. */
    CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1);
    CHECK_EQ(errno, ECHILD);
    /* Giving back was at work: a thread more than the program's own. */
    if (object && strstr(object, "brkmap")) CHECK(most_tasks >= THREADS + 2);
    else CHECK(most_tasks <= THREADS + 1);
    return 0;
}
