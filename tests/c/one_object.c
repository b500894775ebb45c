/* behaviour: every allocation function comes from one object; nothing else of libc or libstdc++ is overridden, not even for
 *   lookups through a library handle
 * source: glibc manual, "Replacing malloc"; issue of functions that fall through to glibc's empty heap
 * flags: -Wl,--no-as-needed -lstdc++
 */
#include "check.h"

static const char *owner(const char *name, const char *version)
{
    Dl_info info;
    void *at = dlsym(RTLD_DEFAULT, name);
    if (!at && version) at = dlvsym(RTLD_DEFAULT, name, version);
    if (!at) check_failed(__FILE__, __LINE__, "symbol exists: ", name);
    CHECK(dladdr(at, &info) != 0);
    return info.dli_fname;
}

int main(void)
{
    static const char *const ours[] = {
        "malloc", "calloc", "realloc", "reallocarray", "free", "memalign", "posix_memalign", "aligned_alloc", "valloc",
        "pvalloc", "malloc_usable_size", "mallopt", "malloc_trim", "malloc_stats", "malloc_info", "mallinfo", "mallinfo2",
        "__libc_malloc", "__libc_calloc", "__libc_realloc", "__libc_free", "__libc_memalign", "__libc_valloc",
        "__libc_pvalloc", "__libc_mallopt", "__libc_mallinfo", "__libc_reallocarray"};
    static const char *const others[] = {"strdup", "strndup", "realpath", "getline", "getdelim", "asprintf", "open_memstream",
                                         "fork", "pthread_create", "_Znwm", "_Znam", "_ZdlPv", "_ZdlPvm", "_ZnwmSt11align_val_t"};
    const char *wanted = getenv("MALLOC_IN_FORCE");
    CHECK(wanted != NULL);
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (!strstr(owner(ours[i], NULL), wanted)) check_failed(__FILE__, __LINE__, "comes from the object under test: ", ours[i]);
    CHECK(strstr(owner("cfree", "GLIBC_2.2.5"), wanted) != NULL);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strstr(owner(others[i], NULL), "brkmap")) check_failed(__FILE__, __LINE__, "is not overridden: ", others[i]);
    return 0;
}
