/* behaviour: a process that allocates little stays little: at most 300 KiB of anonymous memory are resident
 * source: the project's goals; proc(5) (RssAnon)
 */
#include "check.h"

int main(void)
{
    char *block = malloc(1000);
    CHECK(block != NULL);
    memset(block, 1, 1000);
    CHECK(status_kib("RssAnon:") <= 300);
    free(block);
    return 0;
}
