/* behaviour: many small mallocs share one move of the break; blocks of the main thread below the threshold come from it
 * source: brk(2); mallopt(3) M_TOP_PAD
 */
#include "check.h"

int main(void)
{
    char *last = sbrk(0);
    unsigned moves = 0, on_break = 0;
    char *low = last - (64 << 20);
    for (int i = 0; i < 40000; i++) {
        char *block = malloc(100);
        CHECK(block != NULL);
        char *now = sbrk(0);
        if (now != last) moves++, last = now;
        on_break += block > low && block < now;
    }
    CHECK(on_break > 39000);
    CHECK(moves >= 1 && moves < 200);
    return 0;
}
