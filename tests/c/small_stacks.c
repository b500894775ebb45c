/* behaviour: every call fits a thread stack of 16 KiB and a 32 KiB stack of makecontext, also as the first of its thread
 * source: pthread_attr_setstacksize(3) (PTHREAD_STACK_MIN is 16384), makecontext(3)
 */
#include "check.h"
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <ucontext.h>

static int done;

static void every_call(void)
{
    static const size_t sizes[] = {1, 100, 3000, 20000, 100000, 300000, 3000000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *aligned = NULL, *block = malloc(sizes[i]), *zero = calloc(1, sizes[i]);
        CHECK(block && zero && posix_memalign(&aligned, 4096, sizes[i]) == 0);
        block = realloc(block, sizes[i] * 3);
        CHECK(block != NULL);
        free(zero);
        free(block);
        free(aligned);
    }
    malloc_trim(0);
    CHECK(mallinfo2().uordblks > 0);
    CHECK_EQ(mallopt(M_TOP_PAD, 65536), 1);
    done++;
}

static void *on_thread(void *argument)
{
    every_call();
    return argument;
}

static ucontext_t back, there;

int main(void)
{
    pthread_attr_t attributes;
    CHECK_EQ(pthread_attr_init(&attributes), 0);
    CHECK_EQ(pthread_attr_setstacksize(&attributes, 16384), 0);
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, &attributes, on_thread, NULL), 0);
        CHECK_EQ(pthread_join(thread, NULL), 0);
    }
    size_t size = 32768, page = sysconf(_SC_PAGESIZE);
    char *stack = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(stack != MAP_FAILED);
    CHECK_EQ(mprotect(stack, page, PROT_NONE), 0);
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(getcontext(&there), 0);
        there.uc_stack.ss_sp = stack + page;
        there.uc_stack.ss_size = size;
        there.uc_link = &back;
        makecontext(&there, every_call, 0);
        CHECK_EQ(swapcontext(&back, &there), 0);
    }
    CHECK_EQ(done, 40);
    return 0;
}
