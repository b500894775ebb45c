/* A companion with thread-local data, loaded and unloaded by dlopen_loop. */
#include <stdlib.h>
#include <string.h>

static __thread char area[3000] = {1};
static __thread char *block;

/* A block made by this library, which outlives it. */
char *lib_tls_make(unsigned size)
{
    area[size % sizeof area]++;
    if (!block) block = malloc(10);
    char *made = malloc(size);
    if (made) memset(made, area[0], size);
    free(block);
    block = NULL;
    return made;
}
