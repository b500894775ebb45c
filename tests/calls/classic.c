/* behaviour: after start-up a block of 1 KiB comes from the break, one of 256 KiB from one mmap, and its free is one munmap
 *   at once; the block of the break makes no call when it is freed
 * source: mallopt(3) M_MMAP_THRESHOLD; malloc(3) NOTES
 * calls: small=break big=map(262144) free-small=none free-big=unmap(262144)
 */
#include "marks.h"

int main(void)
{
    start_up();
    mark("small");
    char *small = opaque(malloc(1024));
    mark("big");
    char *big = opaque(malloc(256 << 10));
    mark("used");
    CHECK(small && big);
    memset(small, 1, 1024);
    memset(big, 2, 256 << 10);
    CHECK(all_bytes(small, 1024, 1));
    mark("free-small");
    free(small);
    mark("free-big");
    free(big);
    mark("end");
    return 0;
}
