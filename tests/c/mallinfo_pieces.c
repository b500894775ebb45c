/* behaviour: a block that is freed between live neighbours is one free piece more in ordblks; without small free blocks in caches smblks is 0; free memory at the top shows in keepcost
 * source: mallinfo(3)
 */
#include "check.h"
#include <malloc.h>

enum { COUNT = 20, SIZE = 5000, TOP = 200 };

int main(void)
{
    static void *blocks[COUNT], *top[TOP];
    CHECK_EQ(mallopt(M_TRIM_THRESHOLD, -1), 1);
    CHECK_EQ(mallopt(M_MXFAST, 0), 1);
    for (int i = 0; i < COUNT; i++) CHECK((blocks[i] = malloc(SIZE)) != NULL);
    size_t before = mallinfo2().ordblks;
    CHECK(before >= 1);
    for (int i = 1; i < COUNT; i += 4) {
        before = mallinfo2().ordblks;
        free(blocks[i]);
        CHECK_EQ(mallinfo2().ordblks, before + 1);
        CHECK((blocks[i] = malloc(SIZE)) != NULL);
        /* That piece or another one serves it. */
        CHECK(mallinfo2().ordblks <= before + 1);
    }
    CHECK_EQ(mallinfo2().smblks, 0);
    CHECK_EQ(mallinfo2().fsmblks, 0);
    CHECK_EQ(mallinfo2().usmblks, 0);
    for (int i = 0; i < TOP; i++) CHECK((top[i] = malloc(100000)) != NULL);
    size_t kept = mallinfo2().keepcost;
    for (int i = 0; i < TOP; i++) free(top[i]);
    CHECK(mallinfo2().keepcost >= kept + TOP * 100000 / 2);
    CHECK(mallinfo2().keepcost <= mallinfo2().fordblks);
    CHECK_EQ(malloc_trim(0), 1);
    CHECK(mallinfo2().keepcost < 300000);
    return 0;
}
