/* Threads that allocate, write and free. There is no race in it; a sanitizer that does not see malloc and free reports one as
 * soon as a block comes back to another thread. With an argument it leaks a block; built for it, it overruns one. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static char *volatile lost;

static void *work(void *argument)
{
    for (int i = 0; i < 500; i++) {
        char *volatile block = malloc(200000);
        block[100] = 1;
        free(block);
    }
    return argument;
}

int main(int count, char **arguments)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        if (pthread_create(&threads[i], NULL, work, NULL)) return 2;
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    if (count > 1) {
        lost = malloc(100);
        lost[arguments[1][0] == 'o' ? 100 : 99] = 1;
        lost = NULL;
    }
    puts("done");
    return 0;
}
