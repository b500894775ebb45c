/* behaviour: malloc_trim gives back whole free pages everywhere, not only at the top: of 64 MB of freed 1000-byte blocks
 *   under a quarter stays resident, with a live block above them
 * source: malloc_trim(3) NOTES (since glibc 2.8)
 * ways: preload thread
 */
#include "check.h"
#include <malloc.h>

#define COUNT 65536
static void *blocks[COUNT];

int main(void)
{
    long start = status_kib("VmRSS:");
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = malloc(1000);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], 1, 1000);
    }
    CHECK(status_kib("VmRSS:") - start > 60000);
    for (int i = 0; i < COUNT - 1; i++) free(blocks[i]);
    malloc_trim(0);
    CHECK(status_kib("VmRSS:") - start < 16384);
    CHECK(all_bytes(blocks[COUNT - 1], 1000, 1));
    free(blocks[COUNT - 1]);
    return 0;
}
