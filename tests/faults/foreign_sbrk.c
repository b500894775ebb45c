/* behaviour: a thread that moves the break up, and down again over what it took, while others allocate, costs nobody a
 *   block and loses nothing of its own
 * source: sbrk(2)
 * glibc: exempt (moving the break from a thread of one's own beside malloc is a race in glibc's sbrk, which takes no lock)
 */
#include "seccomp.h"

static volatile int stop;

static void *churn(void *argument)
{
    while (!stop) exercise(NULL);
    return argument;
}

int main(void)
{
    /* Only the owner of the main heap moves the break: that thread takes its own steps in between. */
    static unsigned char *taken[200];
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) CHECK_EQ(pthread_create(&threads[i], NULL, churn, NULL), 0);
    void *blocks[200];
    for (int i = 0; i < 200; i++) {
        taken[i] = sbrk(5000);
        CHECK(taken[i] != (void *)-1);
        memset(taken[i], 0x61 + i % 20, 5000);
        blocks[i] = malloc(i * 400);
        CHECK(blocks[i] != NULL);
        fill(blocks[i], i * 400, i);
        char *top = sbrk(65536);
        CHECK(top != (void *)-1);
        memset(top, 1, 65536);
        if (sbrk(0) == top + 65536) CHECK(sbrk(-65536) != (void *)-1);
        if (i % 20 == 19) exercise(NULL);
    }
    stop = 1;
    for (int i = 0; i < 2; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 200; i++) {
        CHECK(all_bytes(taken[i], 5000, 0x61 + i % 20));
        CHECK(filled(blocks[i], i * 400, i));
        free(blocks[i]);
    }
    return 0;
}
