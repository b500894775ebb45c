/* behaviour: whichever of the allocator's calls the kernel refuses, and from whichever one on: NULL with ENOMEM at worst,
 *   blocks whole, no crash
 * source: mmap(2), munmap(2), madvise(2), mremap(2) ERRORS
 * inject: mmap=ENOMEM munmap=ENOMEM madvise=EINVAL mremap=ENOMEM brk=ENOMEM
 * timeout: 240
 */
#include "seccomp.h"

static void *on_thread(void *argument)
{
    for (int i = 1; i < 40; i++) {
        unsigned char *block = malloc(i * 3000);
        if (!block) {
            CHECK_EQ(errno, ENOMEM);
            continue;
        }
        fill(block, i * 3000, i);
        CHECK(filled(block, i * 3000, i));
        free(block);
    }
    return argument;
}

int main(void)
{
    unsigned char *kept = malloc(3000);
    if (kept) fill(kept, 3000, 9);
    exercise(NULL);
    pthread_t thread;
    /* Thread creation maps a stack of its own, which is libc's affair and may fail as well. */
    if (pthread_create(&thread, NULL, on_thread, NULL) == 0) CHECK_EQ(pthread_join(thread, NULL), 0);
    unsigned char *large = malloc(2 << 20);
    for (size_t size = 4 << 20; large && size < 64 << 20; size *= 2) {
        fill(large, 1000, 3);
        unsigned char *moved = realloc(large, size);
        if (!moved) CHECK_EQ(errno, ENOMEM);
        else large = moved;
        CHECK(filled(large, 1000, 3));
    }
    free(large);
    malloc_trim(0);
    if (kept) CHECK(filled(kept, 3000, 9));
    free(kept);
    return 0;
}
