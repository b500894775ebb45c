/* behaviour: a double or invalid free, a wrong sized free and a realloc of a freed block end the process there and
 *   then, with one line on standard error that names the fault, and SIGABRT
 * source: the project's error contract (docs/ARCHITECTURE.md); never weaker than glibc
 * cases: list
 * glibc: exempt (glibc words its messages otherwise and does not see all of these)
 */
#include "core.h"
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>

#define SMALL 100
#define MEDIUM (20 << 10)
#define RUN (100 << 10)
#define DIRECT (300 << 10)

static size_t size;
static char in_data[256] = {1};
static void (*free_sized_)(void *, size_t);
static void (*free_aligned_sized_)(void *, size_t, size_t);

static void other_work(void)
{
    void *blocks[50];
    for (int i = 0; i < 50; i++) blocks[i] = malloc(i * 13 + 1);
    for (int i = 0; i < 50; i++) free(blocks[i]);
}

/* Same class, never the freed block itself: that one stays free until the second free. */
static void same_class_work(void)
{
    void *before[2000];
    for (int i = 0; i < 2000; i++) before[i] = malloc(40);
    for (int i = 0; i < 2000; i += 2) free(before[i]);
}

static void *free_it(void *block)
{
    free(block);
    return NULL;
}

static void in_thread(void *(*what)(void *), void *block)
{
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, what, block), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
}

static void twice(void)
{
    void *block = malloc(size);
    free(block);
    free(opaque(block));
}

static void twice_with_others_freed_between(void)
{
    void *block = malloc(size), *second = malloc(size), *third = malloc(size);
    free(block);
    free(second);
    free(third);
    free(opaque(block));
}

static void twice_after_other_work(void)
{
    void *block = malloc(size);
    free(block);
    other_work();
    free(opaque(block));
}

static void twice_after_same_class_work(void)
{
    static void *blocks[300];
    for (int i = 0; i < 300; i++) blocks[i] = malloc(size);
    void *block = blocks[7];
    free(block);
    same_class_work();
    free(opaque(block));
}

static void *free_when_told(void *slot)
{
    void *block;
    while (!(block = __atomic_load_n((void **)slot, __ATOMIC_ACQUIRE))) sched_yield();
    free(block);
    return NULL;
}

/* The thread is there before the first free: starting it allocates, and might be served with the freed block. */
static void second_in_thread(void)
{
    void *told = NULL, *block = malloc(size);
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, free_when_told, &told), 0);
    free(block);
    __atomic_store_n(&told, opaque(block), __ATOMIC_RELEASE);
    CHECK_EQ(pthread_join(thread, NULL), 0);
}

static void first_in_thread(void)
{
    void *block = malloc(size);
    in_thread(free_it, block);
    free(opaque(block));
}

static void both_in_threads(void)
{
    void *told = NULL, *block = malloc(size);
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, free_when_told, &told), 0);
    in_thread(free_it, block);
    __atomic_store_n(&told, opaque(block), __ATOMIC_RELEASE);
    CHECK_EQ(pthread_join(thread, NULL), 0);
}

static void *make_it(void *slot)
{
    *(void **)slot = malloc(size);
    return NULL;
}

static void of_a_gone_thread(void)
{
    void *block = NULL;
    in_thread(make_it, &block);
    free(block);
    free(opaque(block));
}

static void twice_aligned(void)
{
    void *block = memalign(4096, size);
    free(block);
    free(opaque(block));
}

static void twice_after_calloc(void)
{
    void *block = calloc(1, size);
    free(block);
    free(opaque(block));
}

static void after_realloc_moved(void)
{
    char *block = malloc(size), *wall = malloc(size), *moved = realloc(block, size * 40);
    CHECK(wall && moved && moved != block);
    free(opaque(block));
}

static void realloc_of_freed(void)
{
    void *block = malloc(size);
    free(block);
    CHECK(realloc(opaque(block), size * 2) == NULL);
}

static void interior(void) { free(opaque((char *)malloc(size) + 16)); }
static void interior_far(void) { free(opaque((char *)malloc(size) + (size / 2 & ~15ul))); }
static void misaligned(void) { free(opaque((char *)malloc(size) + 8)); }
static void odd(void) { free(opaque((char *)malloc(size) + 1)); }
static void before(void) { free(opaque((char *)malloc(size) - 16)); }
static void realloc_interior(void) { CHECK(realloc(opaque((char *)malloc(size) + 16), 10) == NULL); }

static void of_stack(void)
{
    char local[64] __attribute__((aligned(16)));
    free(opaque(local));
}

static void of_data(void) { free(opaque(in_data)); }
static void of_code(void) { free(opaque((void *)of_data)); }

static void of_foreign_map(void)
{
    char *area = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(area != MAP_FAILED);
    free(malloc(10));
    free(opaque(area + 4096));
}

static void of_foreign_break(void)
{
    free(malloc(10));
    char *area = sbrk(1 << 20);
    CHECK(area != (void *)-1);
    free(opaque((void *)(((uintptr_t)area + 65536) & ~15ul)));
}

static void wild_low(void) { free(opaque((void *)0x10)); }
static void wild_bits(void) { free(opaque((void *)0xdeadbeefdeadbee0)); }
static void wild_high(void) { free(opaque((void *)-16l)); }
static void wild_in_the_middle(void) { free(opaque((void *)0x500000000000)); }
static void wild_flipped_bit(void) { free(opaque((void *)((uintptr_t)malloc(size) ^ (uintptr_t)1 << 46))); }
static void wild_alias(void) { free(opaque((void *)((uintptr_t)malloc(size) | (uintptr_t)1 << 48))); }

static void sized_too_large(void) { free_sized_(malloc(size), size * 3 + 100); }
static void sized_too_small(void) { free_sized_(malloc(size * 8), size); }
static void sized_twice(void)
{
    void *block = malloc(size);
    free_sized_(block, size);
    free_sized_(opaque(block), size);
}
static void aligned_sized_wrong(void) { free_aligned_sized_(aligned_alloc(64, size), 64, size * 5 + 100); }

/* A freed block's first word is overwritten with an address: malloc must not hand that address out. */
static void write_after_free(void)
{
    static void *blocks[2000];
    for (int i = 0; i < 2000; i++) CHECK((blocks[i] = malloc(size)) != NULL);
    for (int i = 0; i < 2000; i++) free(blocks[i]);
    for (int i = 0; i < 2000; i++) *(void *volatile *)opaque(blocks[i]) = in_data + 64;
    for (int i = 0; i < 4000; i++) {
        char *block = malloc(size);
        CHECK(block < in_data || block >= in_data + sizeof in_data);
    }
}

#define ALL_SIZES 15
static const struct { const char *name; void (*run)(void); int sizes; const char *words; } forms[] = {
    {"twice", twice, ALL_SIZES, "double free|invalid free"},
    {"twice_with_others_freed_between", twice_with_others_freed_between, ALL_SIZES, "double free|invalid free"},
    {"twice_after_other_work", twice_after_other_work, ALL_SIZES, "double free|invalid free"},
    {"twice_after_same_class_work", twice_after_same_class_work, 3, "double free|invalid free"},
    {"second_in_thread", second_in_thread, ALL_SIZES, "double free|invalid free"},
    {"first_in_thread", first_in_thread, ALL_SIZES, "double free|invalid free"},
    {"both_in_threads", both_in_threads, ALL_SIZES, "double free|invalid free"},
    {"of_a_gone_thread", of_a_gone_thread, ALL_SIZES, "double free|invalid free"},
    {"twice_aligned", twice_aligned, ALL_SIZES, "double free|invalid free"},
    {"twice_after_calloc", twice_after_calloc, ALL_SIZES, "double free|invalid free"},
    {"after_realloc_moved", after_realloc_moved, 3, "double free|invalid free"},
    {"realloc_of_freed", realloc_of_freed, ALL_SIZES, "double free|invalid free"},
    {"interior", interior, ALL_SIZES, "invalid free"},
    {"interior_far", interior_far, ALL_SIZES, "invalid free"},
    {"misaligned", misaligned, ALL_SIZES, "invalid free"},
    {"odd", odd, ALL_SIZES, "invalid free"},
    {"before", before, ALL_SIZES, "invalid free|double free"},
    {"realloc_interior", realloc_interior, ALL_SIZES, "invalid free"},
    {"of_stack", of_stack, 1, "invalid free"},
    {"of_data", of_data, 1, "invalid free"},
    {"of_code", of_code, 1, "invalid free"},
    {"of_foreign_map", of_foreign_map, 1, "invalid free"},
    {"of_foreign_break", of_foreign_break, 1, "invalid free"},
    {"wild_low", wild_low, 1, "invalid free"},
    {"wild_bits", wild_bits, 1, "invalid free"},
    {"wild_high", wild_high, 1, "invalid free"},
    {"wild_in_the_middle", wild_in_the_middle, 1, "invalid free"},
    {"wild_flipped_bit", wild_flipped_bit, ALL_SIZES, "invalid free"},
    {"wild_alias", wild_alias, ALL_SIZES, "invalid free"},
    {"write_after_free", write_after_free, 1, "corrupted free list (write after free?)"},
    {"sized_too_large", sized_too_large, ALL_SIZES, "size mismatch"},
    {"sized_too_small", sized_too_small, 3, "size mismatch"},
    {"sized_twice", sized_twice, ALL_SIZES, "double free|invalid free"},
    {"aligned_sized_wrong", aligned_sized_wrong, ALL_SIZES, "size mismatch"},
};
static const struct { const char *name; size_t bytes; } kinds[] = {
    {"small", SMALL}, {"medium", MEDIUM}, {"run", RUN}, {"direct", DIRECT}};

int main(int argc, char **argv)
{
    CHECK_EQ(argc, 2);
    no_core();
    int list = !strcmp(argv[1], "--list");
    free_sized_ = dlsym(RTLD_DEFAULT, "free_sized");
    free_aligned_sized_ = dlsym(RTLD_DEFAULT, "free_aligned_sized");
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        for (int kind = 0; kind < 4; kind++) {
            char name[80];
            if (!(forms[i].sizes >> kind & 1)) continue;
            snprintf(name, sizeof name, "%s-%s", forms[i].name, kinds[kind].name);
            if (list) printf("%s\tfatal: %s\n", name, forms[i].words);
            if (strcmp(argv[1], name)) continue;
            size = kinds[kind].bytes;
            forms[i].run();
            fprintf(stderr, "%s was not noticed\n", name);
            return 1;
        }
    return list ? 0 : 2;
}
