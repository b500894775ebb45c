/* behaviour: a process that gives up the superuser's rights for good has no thread left that keeps them: not a second later,
 *   although memory waits to go back at that moment
 * source: setuid(2) C library/kernel differences; nptl(7); docs/LIMITS.md
 * glibc: exempt (it has no thread of its own)
 * env: BRKMAP_PURGE_DELAY_MS=300
 * alone: it waits for what a thread of the library does in its own time
 */
#include "helper.h"
#include <dirent.h>

/* Threads of this process that have the superuser's id, or a capability when `capable`. */
static int with_rights(int capable)
{
    int found = 0;
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks != NULL);
    for (struct dirent *entry; (entry = readdir(tasks));) {
        char path[300], line[256];
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        FILE *status = fopen(path, "re");
        if (!status) continue;
        int bad = 0;
        while (fgets(line, sizeof line, status)) {
            unsigned long long bits;
            int real = 1, effective = 1, saved = 1;
            if (!capable && sscanf(line, "Uid: %d %d %d", &real, &effective, &saved) == 3) bad |= !real || !effective || !saved;
            if (capable && (sscanf(line, "CapPrm: %llx", &bits) == 1 || sscanf(line, "CapEff: %llx", &bits) == 1)) bad |= bits != 0;
        }
        fclose(status);
        found += bad;
    }
    closedir(tasks);
    return found;
}

int main(void)
{
    with_helper(1);
    if (geteuid() == 0) {
        /* Before: the program has capabilities, the helper none. */
        int capable = with_rights(1);
        for (int ms = 0; capable > 1 && ms < 10000; ms++) {
            usleep(1000);
            capable = with_rights(1);
        }
        CHECK_EQ(capable, 1);
        CHECK_EQ(setresgid(65534, 65534, 65534), 0);
        CHECK_EQ(setresuid(65534, 65534, 65534), 0);
    }
    int ms = 0;
    while ((with_rights(0) || with_rights(1)) && ms < 10000) usleep(10000), ms += 10;
    CHECK_EQ(with_rights(0), 0);
    CHECK(ms <= 1000);
    /* Giving back goes on, without those rights. */
    free_much();
    falls_below_kib(16 << 10);
    CHECK_EQ(with_rights(0), 0);
    return 0;
}
