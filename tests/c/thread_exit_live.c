/* behaviour: any thread frees any block; blocks outlive the thread that made them
 * source: malloc(3) (MT-Safe); POSIX free()
 * ways: preload linked
 */
#include "check.h"
#include <pthread.h>

#define BLOCKS 400
struct parcel { unsigned char *block[BLOCKS]; size_t size[BLOCKS]; unsigned seed; };

static void *make(void *argument)
{
    struct parcel *parcel = argument;
    for (unsigned i = 0; i < BLOCKS; i++) {
        parcel->size[i] = i % 40 == 39 ? 200000 + i : i % 10 == 9 ? 9000 + i * 50 : i * 5;
        parcel->block[i] = malloc(parcel->size[i]);
        CHECK(parcel->block[i] != NULL);
        fill(parcel->block[i], parcel->size[i], parcel->seed + i);
    }
    return NULL;
}

static void *take(void *argument)
{
    struct parcel *parcel = argument;
    for (unsigned i = 0; i < BLOCKS; i++) {
        CHECK(filled(parcel->block[i], parcel->size[i], parcel->seed + i));
        if (i % 3 == 0) {
            parcel->block[i] = realloc(parcel->block[i], parcel->size[i] + 100);
            CHECK(parcel->block[i] != NULL && filled(parcel->block[i], parcel->size[i], parcel->seed + i));
        }
        free(parcel->block[i]);
    }
    return NULL;
}

int main(void)
{
    static struct parcel parcels[4];
    for (unsigned round = 0; round < 30; round++) {
        pthread_t threads[4];
        for (int i = 0; i < 4; i++) {
            parcels[i].seed = round * 4 + i;
            CHECK_EQ(pthread_create(&threads[i], NULL, make, &parcels[i]), 0);
        }
        for (int i = 0; i < 4; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
        for (int i = 0; i < 3; i++) CHECK_EQ(pthread_create(&threads[i], NULL, take, &parcels[i]), 0);
        take(&parcels[3]);
        for (int i = 0; i < 3; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    }
    return 0;
}
