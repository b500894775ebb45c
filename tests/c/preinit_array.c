/* behaviour: allocation works in .preinit_array, before the constructor of any library has run
 * source: System V gABI, "Initialization and Termination Functions"
 * ways: preload linked
 */
#include "check.h"

static unsigned char *early;

static void allocate_first(void)
{
    early = malloc(3000);
    if (early) fill(early, 3000, 8);
    free(calloc(1, 500000));
    free(realloc(malloc(10), 70000));
}

__attribute__((section(".preinit_array"), used)) static void (*entry)(void) = allocate_first;

int main(void)
{
    CHECK(early != NULL && filled(early, 3000, 8));
    early = realloc(early, 6000);
    CHECK(early != NULL && filled(early, 3000, 8));
    free(early);
    return 0;
}
