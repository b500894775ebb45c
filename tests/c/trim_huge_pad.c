/* behaviour: malloc_trim(SIZE_MAX) keeps the whole top: the break does not move
 * source: malloc_trim(3)
 */
#include "check.h"
#include <malloc.h>

int main(void)
{
    static void *blocks[2000];
    for (int i = 0; i < 2000; i++) {
        CHECK((blocks[i] = malloc(8000)) != NULL);
        memset(blocks[i], 1, 8000);
    }
    for (int i = 0; i < 2000; i++) free(blocks[i]);
    void *before = sbrk(0);
    int returned = malloc_trim(SIZE_MAX);
    CHECK(returned == 0 || returned == 1);
    CHECK(sbrk(0) == before);
    return 0;
}
