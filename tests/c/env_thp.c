/* behaviour: huge pages are asked for while a heap that is not small grows, and no longer when memory goes back; with thp:off or
 *   glibc.malloc.hugetlb=0 never; blocks are whole in each case
 * source: docs/POLICY.md; madvise(2) MADV_HUGEPAGE; proc_pid_smaps(5) VmFlags
 * glibc: exempt (options of brkmap's own)
 * timeout: 60
 */
#include "env_run.h"

enum { BLOCKS = 64000, SMALL = 24000 };
static unsigned char *blocks[BLOCKS];

/* Is any mapping of this process to be made of huge pages? Read without allocating. */
static int wants_huge(void)
{
    static char text[1 << 20];
    size_t length = 0;
    ssize_t got;
    int fd = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    while ((got = read(fd, text + length, sizeof text - 1 - length)) > 0) length += got;
    close(fd);
    text[length] = 0;
    for (char *line = text; (line = strstr(line, "VmFlags:")); line++) {
        char *end = strchr(line, '\n'), *flag = strstr(line, " hg ");
        if (flag && end && flag < end) return 1;
    }
    return 0;
}

static void grow(int from, int to)
{
    for (int i = from; i < to; i++) {
        CHECK((blocks[i] = malloc(1000)) != NULL);
        fill(blocks[i], 1000, i);
    }
}

int main(void)
{
    if (!part()) {
        PASSES("huge", "BRKMAP_CONF=thp:on");
        PASSES("huge", "BRKMAP_THP=1");
        PASSES("huge", "GLIBC_TUNABLES=glibc.malloc.hugetlb=1");
        PASSES("usual", "BRKMAP_CONF=thp:off");
        PASSES("huge", "BRKMAP_CONF=thp:auto");
        PASSES("usual", "GLIBC_TUNABLES=glibc.malloc.hugetlb=0");
        PASSES("huge", "A=1");
        return 0;
    }
    grow(0, SMALL);
    CHECK(!wants_huge());
    grow(SMALL, BLOCKS);
    CHECK_EQ(wants_huge(), !strcmp(part(), "huge"));
    for (int i = 0; i < BLOCKS; i++) {
        CHECK(filled(blocks[i], 1000, i));
        if (i % 7) free(blocks[i]);
    }
    malloc_trim(0);
    CHECK(!wants_huge());
    for (int i = 0; i < BLOCKS; i += 7) CHECK(filled(blocks[i], 1000, i));
    return 0;
}
