/* behaviour: the constructor of a library that is being opened may wait for a thread that allocates for the first time: the
 *   first malloc of a thread takes no lock of the loader
 * source: dlopen(3); dlopen holds the loader's lock while constructors run
 */
#include "check.h"

int main(void)
{
    char path[600];
    CHECK(getenv("TEST_LIBRARIES") != NULL);
    snprintf(path, sizeof path, "%s/lib_waits.so", getenv("TEST_LIBRARIES"));
    free(malloc(10));
    void *handle = dlopen(path, RTLD_NOW);
    if (!handle) check_failed(__FILE__, __LINE__, "dlopen", dlerror());
    return 0;
}
