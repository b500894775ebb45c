/* behaviour: the main thread may end by pthread_exit before the others, which go on with its blocks and exit the process
 * source: pthread_exit(3)
 */
#include "check.h"
#include <pthread.h>

static unsigned char *blocks[500];
static pthread_t main_thread;

static void *rest(void *argument)
{
    CHECK_EQ(pthread_join(main_thread, NULL), 0);
    for (int i = 0; i < 500; i++) {
        CHECK(filled(blocks[i], i * 40, i));
        free(blocks[i]);
    }
    for (int i = 0; i < 20000; i++) free(malloc(i % 9000));
    exit(0);
    return argument;
}

int main(void)
{
    pthread_t thread;
    main_thread = pthread_self();
    for (int i = 0; i < 500; i++) {
        blocks[i] = malloc(i * 40);
        fill(blocks[i], i * 40, i);
    }
    CHECK_EQ(pthread_create(&thread, NULL, rest, NULL), 0);
    pthread_exit(NULL);
}
