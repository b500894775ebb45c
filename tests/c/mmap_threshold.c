/* behaviour: after mallopt(M_MMAP_THRESHOLD, n) a request of n bytes or more gets a mapping of its own and the threshold
 *   stays there; with M_MMAP_MAX 0 none does
 * source: mallopt(3)
 */
#include "check.h"
#include <malloc.h>

static long mapped_by(size_t size)
{
    size_t before = mallinfo2().hblks;
    void *block = malloc(size);
    CHECK(block != NULL);
    memset(block, 1, size);
    long more = mallinfo2().hblks - before;
    free(block);
    return more;
}

int main(void)
{
    free(malloc(1));
    CHECK_EQ(mapped_by(60000), 0);
    CHECK_EQ(mapped_by(200000), 1);
    /* Free memory may serve a request whatever its size: keep none. */
    CHECK_EQ(mallopt(M_TRIM_THRESHOLD, 0), 1);
    CHECK_EQ(mallopt(M_TOP_PAD, 0), 1);
    CHECK_EQ(mallopt(M_MMAP_THRESHOLD, 160000), 1);
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(mapped_by(200000), 1);
        CHECK_EQ(mapped_by(150000), 0);
    }
    CHECK_EQ(mallopt(M_MMAP_THRESHOLD, 1 << 20), 1);
    CHECK_EQ(mapped_by(500000), 0);
    for (int i = 0; i < 5; i++) CHECK_EQ(mapped_by(2000000), 1);
    CHECK_EQ(mallopt(M_MMAP_MAX, 0), 1);
    for (int i = 0; i < 5; i++) CHECK_EQ(mapped_by(2000000), 0);
    CHECK_EQ(mallopt(M_MMAP_MAX, 2), 1);
    /* What the break holds free by now must not serve these: they are larger. */
    void *first = malloc(30000000), *second = malloc(30000000);
    CHECK_EQ(mallinfo2().hblks, 2);
    void *third = malloc(30000000);
    CHECK_EQ(mallinfo2().hblks, 2);
    CHECK(first && second && third);
    free(first);
    free(second);
    free(third);
    return 0;
}
