/* Fills memory with small blocks, frees nine of ten in no order, and is idle for a moment before it ends. A malloc that
 * gives OS pages back in the middle of its heap ends with a tenth of the memory; glibc's keeps nearly all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCKS = 40000, BYTES = 1000 };

int main(void) {
    static char *blocks[BLOCKS];
    unsigned state = 1;
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(BYTES);
        memset(blocks[i], i, BYTES);
    }
    for (int i = 0; i < BLOCKS; i++) {
        /* Runs of 40 neighbours stay, so that whole OS pages become free between them. */
        if (i % 40 == 0) state = state * 1103515245 + 12345;
        if ((state >> 16) % 10) {
            free(blocks[i]);
            blocks[i] = NULL;
        }
    }
    sleep(3);
    long sum = 0;
    for (int i = 0; i < BLOCKS; i++) sum += blocks[i] ? blocks[i][1] : 0;
    printf("%ld\n", sum);
    return 0;
}
