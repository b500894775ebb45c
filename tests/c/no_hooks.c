/* behaviour: __malloc_hook, __free_hook, __realloc_hook and __memalign_hook are never called
 * source: glibc 2.34 NEWS (removal of the hooks)
 */
#include "check.h"
#include <malloc.h>

static void *hook(size_t size)
{
    (void)size;
    _exit(33);
}

int main(void)
{
    static const char *const names[] = {"__malloc_hook", "__free_hook", "__realloc_hook", "__memalign_hook"};
    int found = 0;
    for (int i = 0; i < 4; i++) {
        void **variable = dlvsym(RTLD_DEFAULT, names[i], "GLIBC_2.2.5");
        if (variable) *variable = hook, found++;
    }
    CHECK(found > 0);
    void *block = realloc(malloc(10), 100);
    free(block);
    free(calloc(3, 3));
    free(memalign(64, 64));
    return 0;
}
