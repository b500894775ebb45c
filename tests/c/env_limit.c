/* behaviour: `limit` bounds what the heap has in use: beyond it requests get NULL and ENOMEM, the heap stays whole, and what
 *   is freed can be had again, in another form too
 * source: docs/POLICY.md
 * glibc: exempt (an option of brkmap's own)
 */
#include "env_run.h"

static void *blocks[10000];

/* Blocks of this size until there are no more; all of them freed again. */
static size_t fill_up(size_t size)
{
    size_t count = 0;
    errno = 0;
    while (count < 10000 && (blocks[count] = malloc(size))) {
        memset(blocks[count], 1, size);
        count++;
    }
    CHECK(count < 10000);
    CHECK_EQ(errno, ENOMEM);
    CHECK_FAILS(realloc(blocks[0], 80 << 20), ENOMEM);
    CHECK(all_bytes(blocks[0], size, 1));
    for (size_t i = 0; i < count; i++) free(blocks[i]);
    return count * size;
}

int main(void)
{
    if (!part()) {
        PASSES("limited", "BRKMAP_LIMIT=64M");
        PASSES("limited", "BRKMAP_CONF=limit:64M");
        return 0;
    }
    static const size_t sizes[] = {10000, 100000, 1000000, 40000, 20000000, 10000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t got = fill_up(sizes[i]);
        CHECK(got <= 64 << 20);
        CHECK(got >= 40 << 20);
    }
    CHECK(status_kib("VmHWM") < 80 << 10);
    return 0;
}
