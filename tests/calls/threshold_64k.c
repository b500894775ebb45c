/* behaviour: with MALLOC_MMAP_THRESHOLD_=65536 a block of 60,000 bytes comes from the break and one of 150,000 bytes has a
 *   mapping of its own; the threshold does not move
 * source: mallopt(3) M_MMAP_THRESHOLD
 * env: MALLOC_MMAP_THRESHOLD_=65536
 * calls: below=break above=map(150000) free-above=unmap(150000) again=map(150000) free-again=unmap(150000) free-below=none
 */
#include "marks.h"

int main(void)
{
    start_up();
    mark("below");
    char *below = opaque(malloc(60000));
    mark("above");
    char *above = opaque(malloc(150000));
    mark("free-above");
    free(above);
    mark("again");
    above = opaque(malloc(150000));
    mark("free-again");
    free(above);
    mark("free-below");
    free(below);
    mark("end");
    return 0;
}
