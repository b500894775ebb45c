/* behaviour: for every size, alignment and entry point the result, errno, alignment and usable size follow one rule; no
 *   block is smaller than asked
 * source: malloc(3), posix_memalign(3); glibc manual; glibc malloc.c (checked_request2size, memalign)
 * timeout: 120
 * ways: preload linked thread
 */
#include "check.h"
#include <malloc.h>

/* Above this a request may fail for want of memory, and what succeeds is not touched. */
#define PLENTY ((size_t)1 << 30)

enum entry { MALLOC, CALLOC_ONE, CALLOC_N, REALLOC_NULL, REALLOC_OLD, ARRAY_NULL, ARRAY_OLD, MEMALIGN, POSIX, ALIGNED, VALLOC, PVALLOC, ENTRIES };

static size_t hostile[700];
static int hostile_count;
static size_t page;

static void add(size_t value)
{
    for (int i = 0; i < hostile_count; i++)
        if (hostile[i] == value) return;
    CHECK(hostile_count < (int)(sizeof hostile / sizeof *hostile));
    hostile[hostile_count++] = value;
}

static void make_table(void)
{
    static const size_t near[] = {0, 1, 4095, 4096, 65536};
    add(0);
    for (int bit = 0; bit < 64; bit++) {
        add(((size_t)1 << bit) - 1);
        add((size_t)1 << bit);
        add(((size_t)1 << bit) + 1);
    }
    for (size_t i = 0; i < sizeof near / sizeof *near; i++) {
        add((size_t)PTRDIFF_MAX + near[i]);
        add((size_t)PTRDIFF_MAX - near[i]);
    }
    for (size_t under = 0; under <= 8192; under += under < 64 ? 1 : 256) add(SIZE_MAX - under);
}

static int is_power(size_t value) { return value && !(value & (value - 1)); }

/* The errno that must come, 0 for success, -1 where either success or ENOMEM is right. */
static int expected(enum entry entry, size_t size, size_t alignment)
{
    if (entry == POSIX && (!is_power(alignment) || alignment % sizeof(void *))) return EINVAL;
    if (entry == MEMALIGN && alignment > SIZE_MAX / 2 + 1) return EINVAL;
    if (size > PTRDIFF_MAX) return ENOMEM;
    if (entry == PVALLOC && size > PTRDIFF_MAX - page) return ENOMEM;
    if (entry >= MEMALIGN && entry <= ALIGNED && alignment > PLENTY) return -1;
    return size > PLENTY ? -1 : 0;
}

static size_t promised(enum entry entry, size_t alignment)
{
    if (entry == VALLOC || entry == PVALLOC) return page;
    if (entry < MEMALIGN) return 16;
    size_t power = 16;
    while (power < alignment && power < PLENTY) power *= 2;
    return entry == MEMALIGN || power == alignment ? power : 1;
}

static void *call(enum entry entry, size_t size, size_t alignment, void *old)
{
    void *block = NULL;
    switch (entry) {
    case MALLOC: return malloc(size);
    case CALLOC_ONE: return calloc(1, size);
    case CALLOC_N: return calloc(size, 1);
    case REALLOC_NULL: return realloc(NULL, size);
    case REALLOC_OLD: return realloc(old, size);
    case ARRAY_NULL: return reallocarray(NULL, size, 1);
    case ARRAY_OLD: return reallocarray(old, 1, size);
    case MEMALIGN: return memalign(alignment, size);
    case ALIGNED: return aligned_alloc(alignment, size);
    case VALLOC: return valloc(size);
    case PVALLOC: return pvalloc(size);
    default: break;
    }
    errno = 0;
    int code = posix_memalign(&block, alignment, size);
    CHECK(code == ENOMEM || errno == 0);
    CHECK((code == 0) == (block != NULL));
    errno = code;
    return block;
}

static void one(enum entry entry, size_t size, size_t alignment)
{
    int takes_old = entry == REALLOC_OLD || entry == ARRAY_OLD;
    void *old = takes_old ? malloc(40) : NULL;
    if (old) fill(old, 40, 5);
    errno = 0;
    unsigned char *block = call(entry, number(size), number(alignment), opaque(old));
    int error = errno, wanted = expected(entry, size, alignment);
    char place[96];
    snprintf(place, sizeof place, "entry %d, size %#zx, alignment %#zx", entry, size, alignment);
    if (takes_old && size == 0) {
        CHECK(block == NULL);
        CHECK_EQ(error, 0);
        return;
    }
    if (wanted == 0 && (!block || error)) check_failed(place, error, "it must succeed", "");
    if (wanted > 0 && (block || error != wanted)) check_failed(place, error, "it must fail with the right errno", "");
    if (wanted < 0 && !block && error != ENOMEM) check_failed(place, error, "it may only fail with ENOMEM", "");
    if (!block) {
        if (takes_old) CHECK(filled(old, 40, 5));
        free(old);
        return;
    }
    if (malloc_usable_size(block) < size) check_failed(place, error, "the block is smaller than asked", "");
    if ((uintptr_t)block % promised(entry, alignment)) check_failed(place, error, "the alignment is kept", "");
    if (takes_old) CHECK(filled(block, size < 40 ? size : 40, 5));
    if (size && size <= PLENTY) block[0] = block[size - 1] = 0xa5;
    free(block);
}

int main(void)
{
    page = sysconf(_SC_PAGESIZE);
    make_table();
    for (int i = 0; i < hostile_count; i++)
        for (enum entry entry = MALLOC; entry < ENTRIES; entry++) {
            if (entry < MEMALIGN || entry > ALIGNED) {
                one(entry, hostile[i], 0);
                continue;
            }
            /* aligned_alloc's answer to a bad alignment depends on the version of the rule: aligned_alloc.c. */
            for (int j = 0; j < hostile_count; j++)
                if (entry != ALIGNED || is_power(hostile[j])) one(entry, hostile[i], hostile[j]);
        }
    return 0;
}
