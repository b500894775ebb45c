/* behaviour: a live block whose bytes look like those of a freed one is no double free
 * source: glibc bug (thread cache key by chance); tst-tcfree3 states the contract
 */
#include "check.h"

int main(void)
{
    unsigned char image[64], *blocks[200];
    for (size_t size = 16; size <= 4096; size *= 2) {
        unsigned char *block = malloc(size);
        free(block);
        /* What the allocator left in a freed block of this size, written into live ones. */
        unsigned char *next = malloc(size);
        memcpy(image, next, size < 64 ? size : 64);
        free(next);
        for (int i = 0; i < 200; i++) {
            blocks[i] = malloc(size);
            CHECK(blocks[i] != NULL);
        }
        for (int i = 0; i < 200; i++) memcpy(blocks[i], image, size < 64 ? size : 64);
        for (int i = 0; i < 200; i++) free(blocks[i]);
        for (int i = 0; i < 200; i++) {
            blocks[i] = malloc(size);
            for (int j = 0; j < i; j++) CHECK(blocks[j] != blocks[i]);
        }
        for (int i = 0; i < 200; i++) free(blocks[i]);
    }
    return 0;
}
