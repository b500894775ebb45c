/* behaviour: with MALLOC_MMAP_THRESHOLD_=524288 a block of 256 KiB comes from the break and one of 600,000 bytes has a
 *   mapping of its own; the threshold does not move
 * source: mallopt(3) M_MMAP_THRESHOLD
 * env: MALLOC_MMAP_THRESHOLD_=524288
 * calls: below=break above=map(600000) free-above=unmap(600000) again=map(600000) free-again=unmap(600000)
 */
#include "marks.h"

int main(void)
{
    start_up();
    mark("below");
    char *below = opaque(malloc(256 << 10));
    mark("above");
    char *above = opaque(malloc(600000));
    mark("free-above");
    free(above);
    mark("again");
    above = opaque(malloc(600000));
    mark("free-again");
    free(above);
    mark("end");
    free(below);
    return 0;
}
