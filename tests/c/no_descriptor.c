/* behaviour: the allocator keeps no file descriptor, and closing all of them does no harm
 * source: close_range(2), closefrom(3); daemons close everything at start
 */
#include "check.h"
#include <dirent.h>
#include <pthread.h>

static int open_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++) count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void *churn(void *argument)
{
    for (unsigned i = 0; i < 20000; i++) {
        void *block = malloc(i % 200 == 0 ? 400000 : i % 9000);
        CHECK(block != NULL);
        free(block);
    }
    return argument;
}

int main(void)
{
    int before = open_descriptors();
    pthread_t threads[3];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++) CHECK_EQ(pthread_create(&threads[i], NULL, churn, NULL), 0);
        churn(NULL);
        for (int i = 0; i < 3; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
        CHECK_EQ(open_descriptors(), before);
        closefrom(3);
        before = open_descriptors();
    }
    return 0;
}
