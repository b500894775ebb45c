#!/usr/bin/env bash
# behaviour: what a program reads of itself (brkmap_stats_get) is what `brkmap run` sees from outside at its exit: the bytes in
#   memory by reason, the live blocks, the heaps, the mappings
# source: docs/STATISTICS.md, brkmap.h
# timeout: 900
set -eu
cat > program.c <<'END'
#include "brkmap.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static char *blocks[20000];
static void *work(void *argument)
{
    for (int i = 0; i < 3000; i++) {
        char *block = malloc(100 + i % 3000);
        if (block) memset(block, 1, 100);
        /* Every other one of the main thread's is freed here: some wait on their way back. */
        if (i % 2) free(blocks[i]), blocks[i] = NULL;
    }
    return argument;
}
int main(void)
{
    int (*get)(struct brkmap_stats *);
    *(void **)&get = dlsym(RTLD_DEFAULT, "brkmap_stats_get");
    for (int i = 0; i < 20000; i++) {
        size_t size = i % 200 == 0 ? 90000 : 20 + i % 2500;
        blocks[i] = malloc(size);
        /* Some stay untouched. */
        if (i % 5) memset(blocks[i], 1, size);
    }
    for (int i = 0; i < 20000; i++) if (i % 7 < 3 || i > 15000) free(blocks[i]), blocks[i] = NULL;
    char *large = malloc(5 << 20);
    memset(large, 1, 3 << 20);
    pthread_t thread;
    pthread_create(&thread, NULL, work, NULL);
    pthread_join(thread, NULL);
    int file = open("inside", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct brkmap_stats now = BRKMAP_STATS_INIT;
    if (get(&now)) return 1;
    char text[1000];
    int length = snprintf(text, sizeof text,
        "{\"live\": %llu, \"thread_caches\": %llu, \"pinned_free\": %llu, \"returnable\": %llu, \"metadata\": %llu, "
        "\"blocks\": %llu, \"active\": %llu, \"heaps\": %llu, \"direct\": %llu, \"direct_bytes\": %llu, \"threshold\": %llu}\n",
        (unsigned long long)now.resident_allocated, (unsigned long long)now.resident_thread_cache,
        (unsigned long long)now.pinned, (unsigned long long)now.returnable, (unsigned long long)now.resident_metadata,
        (unsigned long long)now.live_blocks, (unsigned long long)now.heaps_active, (unsigned long long)now.heaps,
        (unsigned long long)now.direct, (unsigned long long)now.direct_bytes, (unsigned long long)now.mmap_threshold);
    if (write(file, text, length) != length) return 1;
    _exit(0);
}
END
gcc -O1 -fno-builtin -pthread -D_GNU_SOURCE -I"$REPOSITORY/crates/capi/include" program.c -o program
# The command that carries the library under test: built already, beside the tasks.
export HOME=$PWD
(cd "$REPOSITORY" && "$CARGO" build --quiet --release --locked -p brkmap-cli --message-format=json) |
    python3 -c 'import json, sys
for line in sys.stdin:
    if line.startswith("{"):
        made = json.loads(line)
        if made.get("target", {}).get("name") == "brkmap" and made.get("executable"): print(made["executable"])' > command
BRKMAP_BACKGROUND=off "$(cat command)" run --alloc "$BRKMAP_LIBRARY" --json -o report -- ./program
cat > check.py <<'END'
import json
inside = json.load(open("inside"))
main = json.load(open("report"))["processes"][0]
assert main["malloc"]["in_force"].startswith("brkmap"), main["malloc"]
rows = {row["key"]: row["bytes"] for row in main["waterfall"]["rows"]}
asked = main["asked_of_kernel"]
outside = {
    # Outside an estimate parts rounding from what was asked for; the sum is exact.
    "live": rows["live"] + rows["rounding"], "thread_caches": rows["thread_caches"], "pinned_free": rows["pinned_free"],
    "returnable": rows["returnable"], "metadata": rows["metadata"], "blocks": asked["live_blocks"],
    "active": asked["heaps"]["active"], "heaps": asked["heaps"]["active"] + asked["heaps"]["idle"],
    "direct": asked["direct_live"]["calls"], "direct_bytes": asked["direct_live"]["bytes"],
    "threshold": asked["mmap_threshold_bytes"],
}
# From outside, all of the library's writable data is metadata, and OS pages that were only read (the shared page of zeros,
# which RSS does not count) come off the free bytes, wherever they lie.
slack = {"metadata": 64 << 10, "returnable": 64 << 10}
for name, value in inside.items():
    assert abs(value - outside[name]) <= slack.get(name, 0), (name, value, outside[name])
assert min(inside["live"], inside["pinned_free"], inside["returnable"]) > 1 << 20, inside
assert min(inside["thread_caches"], inside["metadata"]) > 10000, inside
END
python3 check.py
