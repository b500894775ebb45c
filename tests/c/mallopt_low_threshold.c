/* behaviour: with a low M_MMAP_THRESHOLD requests of that size get mappings once free memory cannot serve them, smaller ones
 *   do not; a mapped block can be resized, aligned and zero
 * source: mallopt(3) M_MMAP_THRESHOLD ("allocations greater than or equal to the limit ... that can't be satisfied from
 *   the free list")
 * ways: preload thread
 */
#include "check.h"
#include <malloc.h>

int main(void)
{
    char *blocks[200];
    CHECK_EQ(mallopt(M_TOP_PAD, 0), 1);
    CHECK_EQ(mallopt(M_MMAP_THRESHOLD, 20000), 1);
    size_t before = mallinfo2().hblks;
    for (int i = 0; i < 200; i++) CHECK((blocks[i] = calloc(1, 40000)) != NULL);
    CHECK(mallinfo2().hblks - before >= 180);
    for (int i = 0; i < 200; i++) {
        CHECK(all_bytes(blocks[i], 40000, 0));
        fill(blocks[i], 40000, i);
        CHECK((blocks[i] = realloc(blocks[i], 60000 + i * 500)) != NULL);
        CHECK(filled(blocks[i], 40000, i));
    }
    for (int i = 0; i < 200; i++) free(blocks[i]);
    CHECK(mallinfo2().hblks - before <= 20);
    void *aligned = memalign(32768, 50000);
    CHECK_EQ((uintptr_t)aligned % 32768, 0);
    free(aligned);
    before = mallinfo2().hblks;
    for (int i = 0; i < 200; i++) CHECK((blocks[i] = malloc(15000)) != NULL);
    CHECK_EQ(mallinfo2().hblks, before);
    for (int i = 0; i < 200; i++) free(blocks[i]);
    return 0;
}
