/* A block of 1 KiB and one of 256 KiB: the two ways in which malloc gets memory, and what free does with each. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void say(const char *what) { write(2, what, strlen(what)); }

int main(void)
{
    say("malloc(1024)\n");
    char *small = memset(malloc(1024), 1, 1024);
    say("malloc(262144)\n");
    char *large = memset(malloc(262144), 2, 262144);
    say("free(large)\n");
    free(large);
    say("free(small)\n");
    free(small);
    say("end\n");
    return 0;
}
