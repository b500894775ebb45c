/* Every way of C to get a block that programs for glibc 2.36 know, each used and freed once; with an argument the last block
 * is overrun by a byte and another one is lost. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *volatile block;

static void use(size_t size)
{
    if (!block) exit(2);
    memset(block, 1, size);
    if (malloc_usable_size(block) < size) exit(3);
}

int main(int count, char **arguments)
{
    (void)arguments;
    block = malloc(10);
    use(10);
    block = realloc(block, 3000);
    use(3000);
    block = reallocarray(block, 1000, 30);
    use(30000);
    free(block);
    block = reallocarray(NULL, 10, 10);
    use(100);
    free(block);
    block = calloc(30, 30);
    if (block[899]) return 4;
    use(900);
    free(block);
    block = aligned_alloc(64, 640);
    use(640);
    free(block);
    block = memalign(4096, 100);
    use(100);
    free(block);
    block = valloc(100);
    use(100);
    free(block);
    void *aligned;
    if (posix_memalign(&aligned, 128, 1000)) return 5;
    block = aligned;
    use(1000);
    free(block);
    block = strdup("libc's own");
    use(8);
    free(block);
    char *line = NULL;
    size_t room = 0;
    FILE *file = fopen("/proc/self/maps", "re");
    if (!file || getline(&line, &room, file) < 1) return 6;
    fclose(file);
    free(line);
    if (count > 1) {
        block = malloc(100);
        block[100] = 1;
        block = NULL;
    }
    puts("done");
    return 0;
}
