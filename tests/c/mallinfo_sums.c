/* behaviour: uordblks + fordblks = arena at every moment; uordblks is not 0 in main, grows by what is allocated and falls
 *   when it is freed; mallinfo is mallinfo2 cut to int
 * source: mallinfo(3)
 * flags: -Wno-deprecated-declarations
 */
#include "check.h"
#include <malloc.h>

static struct mallinfo2 look(void)
{
    struct mallinfo2 now = mallinfo2();
    CHECK_EQ(now.uordblks + now.fordblks, now.arena);
    struct mallinfo cut = mallinfo();
    CHECK_EQ(cut.arena, (int)now.arena);
    CHECK_EQ(cut.uordblks, (int)now.uordblks);
    CHECK_EQ(cut.fordblks, (int)now.fordblks);
    CHECK_EQ(cut.hblks, (int)now.hblks);
    CHECK_EQ(cut.hblkhd, (int)now.hblkhd);
    return now;
}

int main(void)
{
    static void *blocks[4000];
    free(malloc(1));
    CHECK(look().uordblks > 0);
    for (int round = 0; round < 4; round++) {
        /* glibc counts what its thread cache holds as in use: later rounds draw on that. */
        size_t sum = 0, cached = round ? 131072 : 0;
        struct mallinfo2 before = look();
        for (int i = 0; i < 4000; i++) {
            size_t size = i % 100 == 99 ? 60000 : i % 10 == 9 ? 5000 : 30 + i % 500;
            blocks[i] = malloc(size);
            CHECK(blocks[i] != NULL);
            sum += size;
            if (i % 500 == 0) CHECK(look().uordblks + cached >= before.uordblks + sum);
        }
        struct mallinfo2 full = look();
        CHECK(full.uordblks + cached >= before.uordblks + sum);
        CHECK(full.uordblks <= before.uordblks + sum + sum / 3 + 16 * 4000);
        for (int i = 0; i < 4000; i++) free(blocks[i]);
        struct mallinfo2 empty = look();
        CHECK(empty.uordblks <= before.uordblks + 131072);
    }
    return 0;
}
