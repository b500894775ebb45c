/* behaviour: every block is aligned to 16 bytes, also malloc(1) and calloc(1, 8)
 * source: x86-64 psABI (max_align_t); glibc manual, "Aligned Memory Blocks"
 * ways: preload thread
 */
#include "check.h"

int main(void)
{
    for (size_t size = 0; size < 70000; size += size < 5000 ? 1 : 617) {
        void *first = malloc(size), *second = calloc(1, size), *third = realloc(malloc(1), size + 1);
        CHECK(first && second && third);
        CHECK(((uintptr_t)first | (uintptr_t)second | (uintptr_t)third) % 16 == 0);
        free(first);
        third = realloc(third, size / 2 + 1);
        CHECK(third && (uintptr_t)third % 16 == 0);
        free(second);
        free(third);
    }
    return 0;
}
