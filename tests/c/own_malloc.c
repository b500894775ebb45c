/* behaviour: a program with a malloc of its own keeps it: strdup, getline, asprintf and fopen go through the program's, and
 *   no block of one allocator reaches the other
 * source: glibc manual, "Replacing malloc"
 */
#define NO_FORCE_CHECK
#include "check.h"
#include <malloc.h>
#include <pthread.h>

static char arena[8 << 20] __attribute__((aligned(64)));
static size_t used;
static int allocations, frees;

static int is_mine(void *pointer) { return (char *)pointer >= arena && (char *)pointer < arena + sizeof arena; }

void *malloc(size_t size)
{
    size_t need = (size + 31) & ~(size_t)15, at = __atomic_fetch_add(&used, need, __ATOMIC_RELAXED);
    if (at + need > sizeof arena) return NULL;
    *(size_t *)(arena + at) = size;
    __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
    return arena + at + 16;
}

void free(void *pointer)
{
    if (!pointer) return;
    CHECK(is_mine(pointer));
    __atomic_fetch_add(&frees, 1, __ATOMIC_RELAXED);
}

void *calloc(size_t count, size_t size)
{
    void *block = malloc(count * size);
    if (block) memset(block, 0, count * size);
    return block;
}

void *realloc(void *old, size_t size)
{
    void *block = malloc(size);
    if (!old) return block;
    CHECK(is_mine(old));
    size_t had = ((size_t *)old)[-2];
    if (block) memcpy(block, old, had < size ? had : size);
    return block;
}

void *memalign(size_t alignment, size_t size)
{
    char *block = malloc(size + alignment);
    if (!block) return NULL;
    char *aligned = (char *)(((uintptr_t)block + alignment - 1) & -alignment);
    ((size_t *)aligned)[-2] = size;
    return aligned;
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

static void *work(void *argument)
{
    char *text = strdup("on a thread");
    CHECK(is_mine(text));
    free(text);
    return argument;
}

int main(void)
{
    char *copy = strdup("a word"), *part = strndup("a word", 3), *made = NULL, *line = NULL, *path = realpath("/proc", NULL);
    size_t room = 0;
    CHECK(asprintf(&made, "%d words", 2) > 0);
    FILE *file = fopen("/proc/self/maps", "re");
    CHECK(file != NULL && getline(&line, &room, file) > 0);
    fclose(file);
    CHECK(is_mine(copy) && is_mine(part) && is_mine(made) && is_mine(line) && is_mine(path));
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, work, NULL), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    free(copy);
    free(part);
    free(made);
    free(line);
    free(path);
    CHECK(allocations > 6 && frees > 6);
    return 0;
}
