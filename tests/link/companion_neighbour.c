/* Calls the Rust library that has no allocator of its own; what it gives away is a block of the malloc in force. */
#include <stdlib.h>
#include <string.h>

extern char *neighbour_work(void);

int companion(void)
{
    char *text = neighbour_work();
    int same = text && strcmp(text, "2800 words") == 0;
    free(text);
    return same ? 0 : 1;
}
