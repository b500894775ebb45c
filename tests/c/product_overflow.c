/* behaviour: calloc and reallocarray detect an overflowing product: NULL, ENOMEM, the old block untouched
 * source: calloc(3), reallocarray(3); POSIX calloc()
 * ways: preload thread
 */
#include "check.h"

int main(void)
{
    static const size_t factors[] = {2, 3, 4, 7, 8, 16, 255, 4096, 65537, (size_t)1 << 31, (size_t)1 << 32, SIZE_MAX / 2, SIZE_MAX};
    char *block = malloc(200);
    CHECK(block != NULL);
    fill(block, 200, 3);
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++) {
        size_t first = SIZE_MAX / factors[i] + 1;
        if (factors[i] == SIZE_MAX) first = 2;
        for (size_t more = 0; more < 3; more++) {
            CHECK_FAILS(calloc(number(first + more), number(factors[i])), ENOMEM);
            CHECK_FAILS(calloc(number(factors[i]), number(first + more)), ENOMEM);
            CHECK_FAILS(reallocarray(opaque(block), number(first + more), number(factors[i])), ENOMEM);
            CHECK_FAILS(reallocarray(opaque(NULL), number(factors[i]), number(first + more)), ENOMEM);
            CHECK(filled(block, 200, 3));
        }
    }
    block = reallocarray(block, 50, 8);
    CHECK(block != NULL && filled(block, 200, 3));
    free(block);
    return 0;
}
