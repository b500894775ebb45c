/* behaviour: realloc keeps the first min(old, new) bytes, growing and shrinking, for mapped and aligned blocks too; when it
 *   fails the block stays as it was
 * source: realloc(3); POSIX realloc()
 * timeout: 60
 * ways: preload thread
 */
#include "check.h"
#include <malloc.h>

static const size_t sizes[] = {1, 15, 16, 24, 100, 1000, 1024, 4000, 8192, 9000, 30000, 65536, 70000, 131072, 140000, 1000000, 3000000, 40000000};
#define SIZES (sizeof sizes / sizeof *sizes)

static void *fresh(int kind, size_t size)
{
    return kind == 0 ? malloc(size) : kind == 1 ? calloc(1, size) : kind == 2 ? memalign(512, size) : memalign(1 << 21, size);
}

int main(void)
{
    for (int kind = 0; kind < 4; kind++)
        for (size_t from = 0; from < SIZES; from++)
            for (size_t to = 0; to < SIZES; to++) {
                size_t keep = sizes[from] < sizes[to] ? sizes[from] : sizes[to];
                size_t look = keep < 100000 ? keep : 100000;
                unsigned char *block = fresh(kind, sizes[from]);
                CHECK(block != NULL);
                fill(block, look, from + to);
                block[keep - 1] = (unsigned char)(from * 3 + to);
                unsigned char last = block[keep - 1];
                CHECK_FAILS(realloc(opaque(block), number(SIZE_MAX - 100)), ENOMEM);
                block = realloc(block, sizes[to]);
                CHECK(block != NULL);
                CHECK(filled(block, look - 1, from + to));
                CHECK_EQ(block[keep - 1], last);
                block[sizes[to] - 1] = 1;
                free(block);
            }
    return 0;
}
