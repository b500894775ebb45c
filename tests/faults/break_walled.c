/* behaviour: a mapping that appears right above the break in mid-life, while threads work, costs nobody a block
 * source: brk(2) ENOMEM
 */
#include "seccomp.h"
#include <sys/mman.h>

int main(void)
{
    size_t page = sysconf(_SC_PAGESIZE);
    for (int round = 0; round < 4; round++) {
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, exercise, NULL), 0);
        exercise(NULL);
        uintptr_t top = ((uintptr_t)sbrk(0) + page - 1) & ~(page - 1);
        void *wall = mmap((void *)top, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        /* With the other thread at work the break may just have moved over it: then there is a wall already. */
        exercise(NULL);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        exercise(NULL);
        if (wall == (void *)top && round % 2) CHECK_EQ(munmap(wall, page), 0);
    }
    return 0;
}
