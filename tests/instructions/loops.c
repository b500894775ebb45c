/* Two measuring loops for the instruction counts: fixed work, whatever the malloc.
 *
 *     loops pairs       malloc and free of 32 sizes in turn, from 16 to 1,008 bytes
 *     loops replace     random blocks among 20,000 replaced by blocks of other sizes */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t next_random(uint32_t *state) {
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

static void pairs(void) {
    for (int round = 0; round < 20000; round++)
        for (size_t k = 0; k < 32; k++) {
            char *block = malloc(16 + k * 32);
            if (!block) abort();
            *(volatile char *)block = 1;
            free(block);
        }
}

static void replace(void) {
    enum { BLOCKS = 20000 };
    static char *blocks[BLOCKS];
    uint32_t state = 1;
    for (int i = 0; i < 400000; i++) {
        uint32_t random = next_random(&state);
        char **block = &blocks[((uint64_t)random * BLOCKS) >> 32];
        size_t base = (size_t)16 << ((random & 0xff) % 6);
        free(*block);
        if (!(*block = malloc(base + ((random >> 8) & (base - 1))))) abort();
        **(volatile char **)block = 1;
    }
}

int main(int argc, char **argv) {
    if (argc == 2 && !strcmp(argv[1], "pairs")) pairs();
    else if (argc == 2 && !strcmp(argv[1], "replace")) replace();
    else {
        fprintf(stderr, "usage: loops pairs|replace\n");
        return 2;
    }
    return 0;
}
