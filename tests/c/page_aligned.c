/* behaviour: valloc and pvalloc results start at an OS page
 * source: posix_memalign(3) (valloc, pvalloc)
 * ways: preload thread
 */
#include "check.h"
#include <malloc.h>

int main(void)
{
    size_t page = sysconf(_SC_PAGESIZE);
    void *blocks[400];
    int count = 0;
    for (size_t size = 0; size < 200000; size = size * 5 / 4 + 61) {
        blocks[count++] = valloc(size);
        blocks[count++] = pvalloc(size);
        CHECK(blocks[count - 1] && blocks[count - 2]);
        CHECK((uintptr_t)blocks[count - 1] % page == 0);
        CHECK((uintptr_t)blocks[count - 2] % page == 0);
        memset(blocks[count - 2], 1, size);
        memset(blocks[count - 1], 1, size);
    }
    for (int i = 0; i < count; i++) free(blocks[i]);
    return 0;
}
