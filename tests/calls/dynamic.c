/* behaviour: freeing a mapped block of 256 KiB moves the threshold above it: the next one of that size comes from the break
 *   and its free makes no call, a larger one has a mapping; malloc_trim then moves the break down once
 * source: mallopt(3) M_MMAP_THRESHOLD ("dynamic mmap threshold"); malloc_trim(3)
 * calls: first=map(262144) free-first=unmap(262144) second=break free-second=none larger=map(1000000) trim=down
 * calls-brkmap: trim=down,trial
 */
#include "marks.h"

int main(void)
{
    start_up();
    mark("first");
    char *block = opaque(malloc(256 << 10));
    mark("free-first");
    free(block);
    mark("second");
    block = opaque(malloc(256 << 10));
    mark("use");
    memset(block, 1, 256 << 10);
    mark("free-second");
    free(block);
    mark("larger");
    block = opaque(malloc(1000000));
    mark("trim");
    CHECK_EQ(malloc_trim(0), 1);
    mark("end");
    free(block);
    return 0;
}
