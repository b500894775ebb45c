/* behaviour: a process that gives up the superuser's rights for good has no thread left that keeps them: not a second later,
 *   although memory waits to go back at that moment
 * source: setuid(2) C library/kernel differences; nptl(7); docs/LIMITS.md
 * glibc: exempt (it has no thread of its own)
 * env: BRKMAP_PURGE_DELAY_MS=300
 */
#include "check.h"
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

static void *blocks[32000];

int main(void)
{
    for (int i = 0; i < 32000; i++) {
        CHECK((blocks[i] = malloc(1000)) != NULL);
        memset(blocks[i], 1, 1000);
    }
    for (int i = 0; i < 32000; i++)
        if (i % 1000) free(blocks[i]);
    for (int ms = 0; status_kib("Threads:") < 2 && ms < 2000; ms++) usleep(1000);
    CHECK_EQ(status_kib("Threads:"), 2);
    if (geteuid() == 0) {
        /* Before: the program has capabilities, the helper none. */
        for (int ms = 0; with_rights(1) > 1 && ms < 1000; ms++) usleep(1000);
        CHECK_EQ(with_rights(1), 1);
        CHECK_EQ(setresgid(65534, 65534, 65534), 0);
        CHECK_EQ(setresuid(65534, 65534, 65534), 0);
    }
    int ms = 0;
    while ((with_rights(0) || with_rights(1)) && ms < 10000) usleep(10000), ms += 10;
    CHECK_EQ(with_rights(0), 0);
    CHECK(ms <= 1000);
    /* Giving back goes on, without those rights. */
    for (int i = 0; i < 32000; i++)
        if (i % 1000 && i % 3) {
            CHECK((blocks[i] = malloc(1000)) != NULL);
            memset(blocks[i], 2, 1000);
        }
    for (int i = 0; i < 32000; i++)
        if (i % 1000 && i % 3) free(blocks[i]);
    for (ms = 0; status_kib("VmRSS:") > 16 << 10 && ms < 10000; ms += 10) usleep(10000);
    CHECK(status_kib("VmRSS:") <= 16 << 10);
    CHECK_EQ(with_rights(0), 0);
    return 0;
}
