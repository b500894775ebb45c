/* behaviour: blocks of every size up to 70000 bytes hold all their bytes apart from each other
 * source: malloc(3)
 * ways: preload thread
 */
#include "check.h"
#include <malloc.h>

int main(void)
{
    unsigned char *previous = NULL;
    size_t previous_size = 0;
    for (size_t size = 1; size <= 70000; size += size < 3000 ? 1 : 53) {
        unsigned char *first = malloc(size), *second = malloc(size), *third = calloc(size, 1);
        CHECK(first && second && third);
        memset(first, 0x11, malloc_usable_size(first));
        memset(second, 0x22, malloc_usable_size(second));
        CHECK(all_bytes(third, size, 0));
        memset(third, 0x33, malloc_usable_size(third));
        CHECK(all_bytes(first, size, 0x11) && all_bytes(second, size, 0x22) && all_bytes(third, size, 0x33));
        if (previous) CHECK(all_bytes(previous, previous_size, 0x22));
        free(first);
        CHECK(all_bytes(second, size, 0x22) && all_bytes(third, size, 0x33));
        free(third);
        free(previous);
        previous = second;
        previous_size = size;
    }
    free(previous);
    return 0;
}
