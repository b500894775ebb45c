/* behaviour: a block that grows in many small steps to 64 MiB and shrinks again keeps its contents
 * source: realloc(3)
 * timeout: 60
 * ways: preload thread
 */
#include "check.h"

int main(void)
{
    size_t size = 1, step = 1;
    uint32_t *words = malloc(4);
    CHECK(words != NULL);
    words[0] = 0;
    while (size < (16 << 20)) {
        size_t more = size + step;
        words = realloc(words, more * 4);
        CHECK(words != NULL);
        for (size_t i = size; i < more; i++) words[i] = (uint32_t)(i * 2654435761u);
        for (size_t i = size > 50 ? size - 50 : 0; i < more; i += 7) CHECK(words[i] == (uint32_t)(i * 2654435761u));
        size = more;
        step = size / 97 + 1;
    }
    for (size_t i = 0; i < size; i++) CHECK(words[i] == (uint32_t)(i * 2654435761u));
    while (size > 3) {
        size -= size / 3 + 1;
        words = realloc(words, size * 4);
        CHECK(words != NULL);
        for (size_t i = 0; i < size; i += 101) CHECK(words[i] == (uint32_t)(i * 2654435761u));
    }
    free(words);
    return 0;
}
