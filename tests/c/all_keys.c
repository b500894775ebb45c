/* behaviour: the allocator takes no pthread key: a program may create all PTHREAD_KEYS_MAX of them
 * source: pthread_key_create(3), limits.h (PTHREAD_KEYS_MAX)
 */
#include "check.h"
#include <limits.h>
#include <pthread.h>

static pthread_key_t keys[PTHREAD_KEYS_MAX];

static void *allocate(void *argument)
{
    free(malloc(1000));
    free(malloc(200000));
    return argument;
}

int main(void)
{
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, allocate, NULL), 0);
    allocate(NULL);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    for (int i = 0; i < PTHREAD_KEYS_MAX; i++) CHECK_EQ(pthread_key_create(&keys[i], free), 0);
    CHECK_EQ(pthread_create(&thread, NULL, allocate, NULL), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    for (int i = 0; i < PTHREAD_KEYS_MAX; i++) CHECK_EQ(pthread_setspecific(keys[i], malloc(8)), 0);
    return 0;
}
