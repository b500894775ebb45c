/* behaviour: free(NULL) does nothing, malloc_usable_size(NULL) is 0, realloc(NULL, n) is malloc(n)
 * source: malloc(3), malloc_usable_size(3)
 * ways: preload thread
 */
#include "check.h"
#include <malloc.h>

int main(void)
{
    for (int i = 0; i < 1000; i++) free(opaque(NULL));
    CHECK_EQ(malloc_usable_size(opaque(NULL)), 0);
    char *block = realloc(opaque(NULL), 77);
    CHECK(block != NULL && malloc_usable_size(block) >= 77);
    memset(block, 1, 77);
    free(block);
    block = reallocarray(opaque(NULL), 7, 11);
    CHECK(block != NULL && malloc_usable_size(block) >= 77);
    free(block);
    return 0;
}
