/* behaviour: pvalloc rounds the size up to whole OS pages with the overflow checked; the result is page aligned and all
 *   of the rounded size can be written
 * source: posix_memalign(3) (pvalloc); glibc manual, "Aligned Memory Blocks"
 * ways: preload thread
 */
#include "check.h"
#include <malloc.h>

int main(void)
{
    size_t page = sysconf(_SC_PAGESIZE);
    CHECK_FAILS(pvalloc(number(SIZE_MAX)), ENOMEM);
    for (size_t under = 1; under <= 3 * page; under += 97) CHECK_FAILS(pvalloc(number(SIZE_MAX - under)), ENOMEM);
    CHECK_FAILS(pvalloc(number(-page)), ENOMEM);
    CHECK_FAILS(pvalloc(number((size_t)PTRDIFF_MAX)), ENOMEM);
    for (size_t size = 1; size < 5 * page; size += 333) {
        void *block = pvalloc(size);
        size_t rounded = (size + page - 1) / page * page;
        CHECK(block != NULL);
        CHECK((uintptr_t)block % page == 0);
        CHECK(malloc_usable_size(block) >= rounded);
        memset(block, 0x5a, rounded);
        free(block);
    }
    return 0;
}
