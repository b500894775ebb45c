/* behaviour: with a mapping right above the break malloc goes on from mappings, and the break does not move
 * source: brk(2) ENOMEM; glibc tst-malloc-alternate-path (the contract it states)
 * ways: preload thread
 */
#include "check.h"
#include <sys/mman.h>

int main(void)
{
    size_t page = sysconf(_SC_PAGESIZE);
    free(malloc(100));
    uintptr_t top = ((uintptr_t)sbrk(0) + page - 1) & ~(page - 1);
    void *wall = mmap((void *)top, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    CHECK(wall == (void *)top);
    void *before = sbrk(0);
    unsigned char *blocks[3000];
    for (unsigned i = 0; i < 3000; i++) {
        blocks[i] = malloc(i * 11);
        CHECK(blocks[i] != NULL);
        fill(blocks[i], i * 11, i);
    }
    CHECK((char *)sbrk(0) <= (char *)before + page);
    for (unsigned i = 0; i < 3000; i++) {
        CHECK(filled(blocks[i], i * 11, i));
        free(blocks[i]);
    }
    /* The way up is open again: nothing breaks, whichever source is used. */
    CHECK_EQ(munmap(wall, page), 0);
    for (unsigned i = 0; i < 3000; i++) {
        blocks[i] = malloc(i * 11);
        CHECK(blocks[i] != NULL);
        fill(blocks[i], i * 11, i);
    }
    for (unsigned i = 0; i < 3000; i++) {
        CHECK(filled(blocks[i], i * 11, i));
        free(blocks[i]);
    }
    return 0;
}
