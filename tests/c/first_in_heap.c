/* behaviour: the first malloc(1024) of a program lies inside the [heap] line of /proc/self/maps: the main heap grows on
 *   the program break, a little at a time
 * source: brk(2); proc(5) ([heap]); glibc malloc.c (main arena)
 */
#include "check.h"

int main(void)
{
    void *block = malloc(1024);
    CHECK(block != NULL);
    memset(block, 1, 1024);
    char line[512];
    unsigned long low = 0, high = 0, found = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    CHECK(maps != NULL);
    while (fgets(line, sizeof line, maps))
        if (strstr(line, "[heap]")) {
            CHECK_EQ(sscanf(line, "%lx-%lx", &low, &high), 2);
            found |= (uintptr_t)block >= low && (uintptr_t)block + 1024 <= high;
        }
    fclose(maps);
    CHECK(found);
    CHECK(high - low <= 1 << 20);
    free(block);
    return 0;
}
