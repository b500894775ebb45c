/* behaviour: blocks with a mapping of their own are counted in hblks and their bytes in hblkhd, beyond 2 GiB too
 * source: mallinfo(3)
 * ways: preload thread
 */
#include "check.h"
#include <malloc.h>

int main(void)
{
    char *blocks[40];
    free(malloc(1));
    CHECK_EQ(mallopt(M_MMAP_THRESHOLD, 131072), 1);
    struct mallinfo2 before = mallinfo2();
    for (int i = 0; i < 40; i++) {
        blocks[i] = malloc(1 << 20);
        CHECK(blocks[i] != NULL);
    }
    struct mallinfo2 full = mallinfo2();
    CHECK_EQ(full.hblks, before.hblks + 40);
    CHECK(full.hblkhd >= before.hblkhd + ((size_t)40 << 20));
    CHECK(full.hblkhd <= before.hblkhd + ((size_t)44 << 20));
    CHECK_EQ(full.uordblks + full.fordblks, full.arena);
    char *huge = malloc((size_t)3 << 30);
    CHECK(huge != NULL);
    CHECK(mallinfo2().hblkhd >= full.hblkhd + ((size_t)3 << 30));
    free(huge);
    CHECK_EQ(mallinfo2().hblkhd, full.hblkhd);
    for (int i = 0; i < 40; i++) free(blocks[i]);
    CHECK_EQ(mallinfo2().hblks, before.hblks);
    CHECK_EQ(mallinfo2().hblkhd, before.hblkhd);
    return 0;
}
