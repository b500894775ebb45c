/* What a program's memory is for, before and after it frees a part of it.
 *
 *   cargo xtask install --prefix "$HOME/brkmap"
 *   export PKG_CONFIG_PATH="$HOME/brkmap/lib/pkgconfig"
 *   cc main.c $(pkg-config --cflags --libs brkmap) -Wl,-rpath,"$(pkg-config --variable=libdir brkmap)" -o example
 *   ./example
 */
#include <brkmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void show(const char *when)
{
    struct brkmap_stats now = BRKMAP_STATS_INIT;
    if (brkmap_stats_get(&now) != 0) exit(1);
    printf("%-12s %8.1f MiB allocated %8.1f resident %8.1f pinned %8.1f returnable\n", when, now.allocated / 1048576.0,
           now.resident / 1048576.0, now.pinned / 1048576.0, now.returnable / 1048576.0);
}

int main(void)
{
    enum { COUNT = 50000 };
    static char *blocks[COUNT];
    show("start");
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = malloc(1000);
        if (!blocks[i]) return 1;
        memset(blocks[i], 1, 1000);
    }
    show("full");
    /* Every other block: the free ones share OS pages with live ones, which pin them. */
    for (int i = 0; i < COUNT; i += 2) free(blocks[i]);
    show("half freed");
    for (int i = 1; i < COUNT; i += 2) free(blocks[i]);
    show("all freed");

    uint64_t went = 0;
    size_t length = sizeof went;
    if (brkmap_ctl("trim", &went, &length, NULL, 0) != 0) return 1;
    show("trimmed");
    const char *version;
    length = sizeof version;
    if (brkmap_ctl("version", &version, &length, NULL, 0) != 0) return 1;
    printf("brkmap %s: memory %s to the kernel\n", version, went ? "went back" : "did not go back");
    return 0;
}
