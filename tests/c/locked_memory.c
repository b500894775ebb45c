/* behaviour: with mlockall(MCL_FUTURE) the process locks about the memory it uses, not gigabytes of reserve
 * source: mlockall(2)
 */
#include "check.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

static void *work(void *argument)
{
    for (int i = 0; i < 5000; i++) free(malloc(i * 3));
    return argument;
}

int main(void)
{
    struct rlimit limit;
    CHECK_EQ(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
    CHECK_EQ(mlockall(MCL_CURRENT | MCL_FUTURE), 0);
    long before = status_kib("VmRSS:");
    pthread_attr_t attributes;
    pthread_t threads[4];
    CHECK_EQ(pthread_attr_init(&attributes), 0);
    CHECK_EQ(pthread_attr_setstacksize(&attributes, 65536), 0);
    unsigned char *block = malloc(4 << 20);
    CHECK(block != NULL);
    for (int i = 0; i < 4; i++) CHECK_EQ(pthread_create(&threads[i], &attributes, work, NULL), 0);
    work(NULL);
    for (int i = 0; i < 4; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK(status_kib("VmRSS:") < before + 48 * 1024);
    free(block);
    return 0;
}
