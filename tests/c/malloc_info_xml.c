/* behaviour: malloc_info(0, f) writes well-formed XML with the documented elements and returns 0; another option is EINVAL
 * source: malloc_info(3)
 * timeout: 60
 * ways: preload thread
 */
#include "check.h"
#include <ctype.h>
#include <malloc.h>
#include <pthread.h>

static volatile int stop;

static void *churn(void *argument)
{
    for (unsigned i = 0; !stop; i++) free(malloc(i % 5000));
    return argument;
}

/* A reader for the XML that malloc_info may write: elements, attributes, text; every element closed in order. */
static void well_formed(const char *text)
{
    char open[20][32];
    int depth = 0, elements = 0;
    while (*text) {
        if (*text != '<') {
            CHECK(*text != '>' && *text != '&');
            CHECK(isspace((unsigned char)*text) || depth > 0);
            text++;
            continue;
        }
        char name[32];
        size_t length = 0;
        int closing = *++text == '/';
        if (closing) text++;
        while (isalnum((unsigned char)*text) || *text == '_') {
            CHECK(length < sizeof name - 1);
            name[length++] = *text++;
        }
        name[length] = 0;
        CHECK(length > 0);
        if (closing) {
            CHECK(depth > 0 && strcmp(open[--depth], name) == 0);
            CHECK(*text++ == '>');
            continue;
        }
        elements++;
        while (*text == ' ') {
            while (*text == ' ') text++;
            if (*text == '/' || *text == '>') break;
            CHECK(isalpha((unsigned char)*text));
            while (isalnum((unsigned char)*text) || *text == '_') text++;
            CHECK(*text++ == '=');
            CHECK(*text++ == '"');
            while (*text && *text != '"') CHECK(*text++ != '<');
            CHECK(*text++ == '"');
        }
        if (*text == '/') {
            text++;
        } else {
            CHECK(depth < 20);
            strcpy(open[depth++], name);
        }
        CHECK(*text++ == '>');
    }
    CHECK_EQ(depth, 0);
    CHECK(elements > 8);
}

static size_t number_after(const char *text, const char *what)
{
    const char *at = text;
    size_t last = 0;
    while ((at = strstr(at, what))) at += strlen(what), last = strtoull(at, NULL, 10);
    return last;
}

static void report(char *text, size_t room)
{
    FILE *file = tmpfile();
    CHECK(file != NULL);
    CHECK_EQ(malloc_info(0, file), 0);
    rewind(file);
    text[fread(text, 1, room - 1, file)] = 0;
    fclose(file);
}

int main(void)
{
    static char text[1 << 20];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) CHECK_EQ(pthread_create(&threads[i], NULL, churn, NULL), 0);
    for (int round = 0; round < 20; round++) {
        report(text, sizeof text);
        CHECK(strncmp(text, "<malloc version=\"1\">", 20) == 0);
        well_formed(text);
        static const char *const wanted[] = {
            "<heap nr=\"0\">", "<sizes", "<total type=\"fast\"", "<total type=\"rest\"", "<total type=\"mmap\"",
            "<system type=\"current\" size=\"", "<system type=\"max\" size=\"", "<aspace type=\"total\" size=\"",
            "<aspace type=\"mprotect\" size=\"", "</malloc>",
        };
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
            if (!strstr(text, wanted[i])) check_failed(__FILE__, __LINE__, "malloc_info writes ", wanted[i]);
    }
    stop = 1;
    for (int i = 0; i < 4; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    /* Free memory may serve a part of these: keep asking until the sum is surely beyond what was free. */
    for (int i = 0; i < 100000; i++) CHECK(malloc(1000) != NULL);
    report(text, sizeof text);
    CHECK(number_after(text, "<system type=\"current\" size=\"") >= 90000000);
    CHECK_EQ(malloc_info(1, stdout), EINVAL);
    CHECK_EQ(malloc_info(-1, stdout), EINVAL);
    return 0;
}
