/* behaviour: free keeps errno, also when the kernel refuses to unmap because the process has all the mappings it may
 * source: POSIX 2024 free(); glibc manual, "Freeing after Malloc"
 * timeout: 60
 * ways: preload thread
 */
#include "check.h"
#include <sys/mman.h>

int main(void)
{
    char *blocks[40];
    for (int i = 0; i < 40; i++) {
        blocks[i] = malloc(1 << 20);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], i, 1 << 20);
    }
    /* As many as the machine allows, and then some. */
    char text[32] = "";
    int setting = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
    CHECK(setting >= 0 && read(setting, text, sizeof text - 1) > 0);
    close(setting);
    /* Each page with a protection of its own next to one with another is a mapping: use them up. */
    size_t page = sysconf(_SC_PAGESIZE), pages = 2 * strtoul(text, NULL, 10) + 1000, mapped = 0;
    char *area = mmap(NULL, pages * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(area != MAP_FAILED);
    while (mapped < pages && mprotect(area + mapped * page, page, PROT_READ | PROT_WRITE) == 0) mapped += 2;
    CHECK(mapped < pages);
    for (int i = 0; i < 40; i += 2) {
        errno = 4321;
        free(blocks[i]);
        CHECK_EQ(errno, 4321);
    }
    CHECK_EQ(munmap(area, pages * page), 0);
    for (int i = 1; i < 40; i += 2) {
        CHECK(all_bytes(blocks[i], 1 << 20, i));
        errno = 4321;
        free(blocks[i]);
        CHECK_EQ(errno, 4321);
    }
    return 0;
}
