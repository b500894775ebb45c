/* behaviour: one live block at the top of the break pins 48 MiB of free blocks below it. glibc keeps them until the program
 *   calls malloc_trim; brkmap gives them back within a second, with no call from the program
 * source: malloc_trim(3) NOTES; docs/POLICY.md
 * calls: trim=purges,down
 * calls-glibc: freed=none waits=none
 * calls-brkmap: trim=down
 * timeout: 60
 * alone: it waits for what a thread of the library does in its own time
 */
#include "marks.h"

enum { COUNT = 768, BYTES = 64000 };
static char *blocks[COUNT];

int main(void)
{
    long start = status_kib("VmRSS:");
    for (int i = 0; i < COUNT; i++) {
        CHECK((blocks[i] = malloc(BYTES)) != NULL);
        memset(blocks[i], i, BYTES);
    }
    CHECK(status_kib("VmRSS:") - start > 46000);
    mark("freed");
    for (int i = 0; i < COUNT - 1; i++) free(blocks[i]);
    mark("waits");
    int ms = 0;
    while (ms < (on_brkmap() ? 10000 : 1000) && status_kib("VmRSS:") - start > 3072) usleep(10000), ms += 10;
    mark("waited");
    if (on_brkmap()) {
        CHECK(status_kib("VmRSS:") - start <= 3072);
        /* Under strace and beside other work: a second of the program's own sleeping, not of the wall. */
        CHECK(ms <= 1000);
    } else {
        CHECK(status_kib("VmRSS:") - start > 46000);
    }
    mark("trim");
    malloc_trim(0);
    mark("end");
    CHECK(status_kib("VmRSS:") - start <= 3072);
    CHECK(all_bytes(blocks[COUNT - 1], BYTES, (unsigned char)(COUNT - 1)));
    return 0;
}
