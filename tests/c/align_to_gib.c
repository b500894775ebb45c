/* behaviour: alignments up to 1 GiB work, with sizes from 0 to three times the alignment
 * source: posix_memalign(3) (no upper bound but memory)
 * timeout: 60
 * ways: preload thread
 */
#include "check.h"
#include <malloc.h>

int main(void)
{
    for (size_t alignment = 16; alignment <= (size_t)1 << 30; alignment *= 2) {
        size_t sizes[] = {0, 1, alignment - 1, alignment, alignment + 1, 2 * alignment, 3 * alignment};
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            char *first = memalign(alignment, sizes[i]), *second = NULL;
            CHECK(first != NULL && (uintptr_t)first % alignment == 0);
            CHECK_EQ(posix_memalign((void **)&second, alignment, sizes[i]), 0);
            CHECK((uintptr_t)second % alignment == 0 && second != first);
            CHECK(malloc_usable_size(first) >= sizes[i] && malloc_usable_size(second) >= sizes[i]);
            if (sizes[i]) {
                first[0] = first[sizes[i] - 1] = 1;
                second[0] = second[sizes[i] - 1] = 2;
                CHECK(first[0] == 1 && first[sizes[i] - 1] == 1);
            }
            free(first);
            free(second);
        }
    }
    return 0;
}
