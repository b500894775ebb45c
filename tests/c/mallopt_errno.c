/* behaviour: mallopt leaves errno alone, whatever it is asked, and an option that is refused changes nothing
 * source: mallopt(3) ("errno is not set"); glibc malloc.c (__libc_mallopt)
 */
#include "check.h"
#include <malloc.h>

int main(void)
{
    static const int values[] = {-1, 0, 1, 100, 161, 1 << 20, 0x7fffffff};
    errno = 77;
    for (int parameter = -12; parameter <= 12; parameter++) {
        /* A break that moves 2 GiB at a time is no matter of this test. */
        if (parameter == M_TOP_PAD || parameter == M_PERTURB) continue;
        for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
            int refused = parameter == M_MXFAST && (values[i] < 0 || values[i] > 160);
            CHECK_EQ(mallopt(parameter, values[i]), !refused);
            CHECK_EQ(errno, 77);
        }
    }
    for (int i = 1; i < 1000; i++) {
        char *block = malloc(i * 100);
        CHECK(block != NULL);
        memset(block, 1, i * 100);
        free(block);
    }
    return 0;
}
