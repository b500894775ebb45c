/* behaviour: malloc_trim returns 0 or 1, and 1 when there was something to give back; blocks stay whole
 * source: malloc_trim(3)
 * ways: preload thread
 * env: BRKMAP_BACKGROUND=off BRKMAP_PURGE_DELAY_MS=3600000
 */
#include "check.h"
#include <malloc.h>

int main(void)
{
    static unsigned char *blocks[20000];
    for (unsigned i = 0; i < 20000; i++) {
        blocks[i] = malloc(1000);
        CHECK(blocks[i] != NULL);
        fill(blocks[i], 1000, i);
    }
    int result = malloc_trim(0);
    CHECK(result == 0 || result == 1);
    for (unsigned i = 0; i < 20000; i++)
        if (i % 100) free(blocks[i]);
    long before = status_kib("VmRSS:");
    CHECK_EQ(malloc_trim(0), 1);
    CHECK(status_kib("VmRSS:") < before);
    for (unsigned i = 0; i < 20000; i += 100) {
        CHECK(filled(blocks[i], 1000, i));
        free(blocks[i]);
    }
    for (size_t pad = 0; pad < 1 << 20; pad = pad * 3 + 1000) {
        result = malloc_trim(pad);
        CHECK(result == 0 || result == 1);
        free(malloc(pad));
    }
    return 0;
}
