/* behaviour: a million live blocks of mixed sizes do not overlap and keep their contents
 * source: malloc(3)
 * timeout: 60
 * ways: preload thread
 */
#include "check.h"

#define COUNT 1000000
static uint32_t *blocks[COUNT];

int main(void)
{
    for (uint32_t i = 0; i < COUNT; i++) {
        size_t size = 8 + (i * 2654435761u >> 20) % 200;
        blocks[i] = malloc(size);
        CHECK(blocks[i] != NULL);
        blocks[i][0] = i;
        blocks[i][size / 4 - 1] = i;
    }
    for (uint32_t i = 0; i < COUNT; i += 3) {
        CHECK(blocks[i][0] == i);
        free(blocks[i]);
        blocks[i] = NULL;
    }
    for (uint32_t i = 0; i < COUNT; i += 3) {
        blocks[i] = malloc(8 + i % 300);
        CHECK(blocks[i] != NULL);
        blocks[i][0] = i;
        blocks[i][1] = i;
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        size_t size = 8 + (i * 2654435761u >> 20) % 200;
        CHECK(blocks[i][0] == i);
        CHECK(i % 3 == 0 ? blocks[i][1] == i : blocks[i][size / 4 - 1] == i);
        free(blocks[i]);
    }
    return 0;
}
