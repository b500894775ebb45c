/* behaviour: a fresh huge calloc does not touch its memory
 * source: glibc malloc.c (calloc of mapped chunks); expected by sparse users such as numpy.zeros
 * ways: preload thread
 */
#include "check.h"

int main(void)
{
    long before = status_kib("VmRSS:");
    char *block = calloc(1, (size_t)1 << 30);
    CHECK(block != NULL);
    long after = status_kib("VmRSS:");
    CHECK(after - before < 4096);
    for (size_t at = 0; at < (size_t)1 << 30; at += (size_t)37 << 20) CHECK_EQ(block[at], 0);
    free(block);
    return 0;
}
