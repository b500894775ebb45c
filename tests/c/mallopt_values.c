/* behaviour: mallopt returns 1 for each known parameter with a valid value and for an unknown parameter, 0 for an M_MXFAST
 *   above the largest or negative
 * source: mallopt(3); glibc malloc.c (__libc_mallopt)
 * ways: preload thread
 */
#include "check.h"
#include <malloc.h>

int main(void)
{
    static const struct { int parameter, value, result; } rows[] = {
        {M_MXFAST, 0, 1}, {M_MXFAST, 80, 1}, {M_MXFAST, 160, 1}, {M_MXFAST, 1000000, 0}, {M_MXFAST, -1, 0},
        {M_TRIM_THRESHOLD, -1, 1}, {M_TRIM_THRESHOLD, 0, 1}, {M_TRIM_THRESHOLD, 128 * 1024, 1}, {M_TOP_PAD, 0, 1},
        {M_TOP_PAD, 64 * 1024, 1}, {M_MMAP_THRESHOLD, 64 * 1024, 1}, {M_MMAP_THRESHOLD, 0, 1}, {M_MMAP_MAX, 0, 1},
        {M_MMAP_MAX, 65536, 1}, {M_CHECK_ACTION, 0, 1}, {M_CHECK_ACTION, 3, 1}, {M_PERTURB, 42, 1}, {M_PERTURB, 0, 1},
        {M_ARENA_TEST, 1, 1}, {M_ARENA_TEST, 8, 1}, {M_ARENA_MAX, 1, 1}, {M_ARENA_MAX, 8, 1}, {12345, 6, 1}, {-77, 1, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int result = mallopt(rows[i].parameter, rows[i].value);
        char place[64];
        snprintf(place, sizeof place, "mallopt(%d, %d) gives %d", rows[i].parameter, rows[i].value, result);
        if (result != rows[i].result) check_failed(__FILE__, __LINE__, place, "");
        for (int j = 0; j < 50; j++) {
            char *block = malloc(j * 4000);
            CHECK(block != NULL);
            memset(block, 1, j * 4000);
            free(block);
        }
    }
    return 0;
}
