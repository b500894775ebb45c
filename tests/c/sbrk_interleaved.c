/* behaviour: a program that moves the break itself keeps what it got, and malloc keeps its own: no overlap whoever moves it
 * source: sbrk(2), brk(2); SUSv2 brk()
 * ways: preload thread
 */
#include "check.h"

#define ROUNDS 300

int main(void)
{
    unsigned char *mine[ROUNDS], *blocks[ROUNDS];
    size_t mine_size[ROUNDS], size[ROUNDS];
    for (unsigned i = 0; i < ROUNDS; i++) {
        mine_size[i] = 100 + i * 37 % 9000;
        mine[i] = sbrk(mine_size[i]);
        CHECK(mine[i] != (void *)-1);
        CHECK(sbrk(0) == mine[i] + mine_size[i]);
        memset(mine[i], 0x11 + i % 7, mine_size[i]);
        size[i] = i % 10 == 9 ? 120000 : i * 53 % 20000;
        blocks[i] = malloc(size[i]);
        CHECK(blocks[i] != NULL);
        fill(blocks[i], size[i], i);
        if (i % 5 == 4) {
            free(blocks[i - 2]);
            blocks[i - 2] = NULL;
        }
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        CHECK(all_bytes(mine[i], mine_size[i], 0x11 + i % 7));
        if (blocks[i]) CHECK(filled(blocks[i], size[i], i));
        free(blocks[i]);
    }
    for (unsigned i = 0; i < ROUNDS; i++) CHECK(all_bytes(mine[i], mine_size[i], 0x11 + i % 7));
    /* What is on top of the break may be given up by whoever took it. */
    char *top = sbrk(8192);
    CHECK(top != (void *)-1);
    memset(top, 1, 8192);
    CHECK(sbrk(-8192) != (void *)-1);
    for (unsigned i = 0; i < 1000; i++) {
        blocks[0] = malloc(i * 10);
        CHECK(blocks[0] != NULL);
        memset(blocks[0], 1, i * 10);
        free(blocks[0]);
    }
    return 0;
}
