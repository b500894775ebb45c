/* behaviour: the default threshold of 128 KiB is compared with the bytes asked for: 131,071 come from the break, 131,072 have
 *   a mapping of their own. glibc compares the size of its chunk, header and rounding included, and so maps from 131,049
 *   bytes on; below and from 131,072 on both do the same
 * source: mallopt(3) M_MMAP_THRESHOLD ("allocations greater than or equal to the limit specified")
 * calls: 131048=break 131072=map(131072) 131073=map(131073)
 * calls-glibc: 131049=map(131049) 131071=map(131071)
 * calls-brkmap: 131049=break 131071=break
 */
#include "marks.h"

int main(void)
{
    static const size_t sizes[] = {131048, 131049, 131071, 131072, 131073};
    start_up();
    for (int i = 0; i < 5; i++) {
        char name[16];
        snprintf(name, sizeof name, "%zu", sizes[i]);
        mark(name);
        CHECK(opaque(malloc(sizes[i])) != NULL);
    }
    mark("end");
    return 0;
}
