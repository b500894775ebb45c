/* behaviour: free memory at the top of the break leaves RSS of a program that only sleeps, with no move of the break from
 *   another thread; a piece of the break that belongs to somebody else stays; a loop at the edge does not move the break each
 *   time; and a program that goes on to allocate and free gets its break back down
 * source: docs/POLICY.md; sbrk(2)
 * glibc: differs (it moves the break in each free above the trim threshold, and not at all below a live block)
 * timeout: 60
 * alone: it waits for what a thread of the library does in its own time
 */
#include "check.h"
#include <time.h>

enum { BLOCK = 60000, BLOCKS = 500, MORE = 900, FOREIGN = 8192 };
static void *blocks[MORE];

static void take(int from, int to)
{
    for (int i = from; i < to; i++) {
        CHECK((blocks[i] = malloc(BLOCK)) != NULL);
        memset(blocks[i], 1, BLOCK);
    }
}

static void drop(int from, int to)
{
    for (int i = from; i < to; i++) free(blocks[i]);
}

static long microseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void sleeps_small(long start)
{
    for (int ms = 0; ms < 10000 && status_kib("VmRSS:") - start > 3072; ms += 20) usleep(20000);
    CHECK(status_kib("VmRSS:") - start <= 3072);
}

int main(void)
{
    memset(blocks, 1, sizeof blocks);
    long start = status_kib("VmRSS:");
    take(0, BLOCKS);
    CHECK(status_kib("VmRSS:") - start > 20000);
    drop(0, BLOCKS);
    char *after = sbrk(0);
    sleeps_small(start);
    CHECK(sbrk(0) == after);

    /* Somebody else's piece on top of ours. */
    take(0, BLOCKS);
    unsigned char *foreign = sbrk(FOREIGN);
    CHECK(foreign != (void *)-1);
    memset(foreign, 0xAB, FOREIGN);
    drop(0, BLOCKS);
    sleeps_small(start);
    CHECK((unsigned char *)sbrk(0) == foreign + FOREIGN && all_bytes(foreign, FOREIGN, 0xAB));

    /* At the edge: 3 MB come and go two thousand times. A round that the machine held up is a pause, not a part of the loop. */
    int moves = 0, held_up = 0;
    long last_us = microseconds();
    for (int round = 0; round < 2000; round++) {
        int moved_before = moves;
        char *before = sbrk(0);
        take(0, 50);
        moves += sbrk(0) != before;
        before = sbrk(0);
        drop(0, 50);
        moves += sbrk(0) != before;
        long now_us = microseconds();
        /* What was found idle meanwhile may move the break in the next round, too. */
        if (now_us - last_us > 40000) held_up = 2;
        if (held_up && held_up--) moves = moved_before;
        last_us = now_us;
    }
    CHECK(moves <= 20);
    CHECK(all_bytes(foreign, FOREIGN, 0xAB) && (unsigned char *)sbrk(0) >= foreign + FOREIGN);

    /* Far above the edge, and above the foreign piece, with calls going on: down it comes. */
    take(0, MORE);
    char *top = sbrk(0);
    CHECK(top > (char *)foreign + FOREIGN);
    drop(20, MORE);
    for (int ms = 0; ms < 10000 && (char *)sbrk(0) >= top; ms += 10) {
        for (int i = 0; i < 20; i++) free(opaque(malloc(BLOCK * 4)));
        usleep(10000);
    }
    CHECK((char *)sbrk(0) < top && (unsigned char *)sbrk(0) >= foreign + FOREIGN);
    drop(0, 20);
    return 0;
}
