/* behaviour: the environment holds for allocations before libc's own first constructor, when `environ` is not set yet
 * source: glibc elf/dl-init.c (DT_PREINIT_ARRAY runs first), csu/init-first.c (__environ is set by a constructor)
 */
#include "env_run.h"

static long small, large;
static int had_environment;

static void first(void)
{
    had_environment = environ != NULL;
    size_t before = mallinfo2().hblks;
    CHECK(opaque(malloc(200000)) != NULL);
    small = mallinfo2().hblks - before;
    CHECK(opaque(malloc(300000)) != NULL);
    large = mallinfo2().hblks - before;
}

__attribute__((section(".preinit_array"), used)) static void (*preinit)(void) = first;

int main(void)
{
    if (part()) {
        /* Else this shows nothing. */
        CHECK_EQ(had_environment, 0);
        CHECK_EQ(small, 0);
        CHECK_EQ(large, 1);
        return 0;
    }
    PASSES("variable", "MALLOC_MMAP_THRESHOLD_=250000");
    PASSES("tunable", "GLIBC_TUNABLES=glibc.malloc.mmap_threshold=250000");
    return 0;
}
