// Counts words in a map, then shows what the map takes: of the heap, and by size of block.
#include <brkmap.h>

#include <cinttypes>
#include <cstdio>
#include <map>
#include <string>

int main()
{
    std::map<std::string, int> words;
    for (int i = 0; i < 200000; i++) words["a word with the number " + std::to_string(i % 50000)]++;

    brkmap_stats now = BRKMAP_STATS_INIT;
    if (brkmap_stats_get(&now) != 0) return 1;
    std::printf("%zu words: %" PRIu64 " blocks, %" PRIu64 " bytes\n", words.size(), now.live_blocks, now.allocated);
    uint64_t classes = 0;
    size_t length = sizeof classes;
    if (brkmap_ctl("stats.classes", &classes, &length, nullptr, 0) != 0) return 1;
    for (uint64_t i = 0; i < classes; i++) {
        const std::string row = "stats.class." + std::to_string(i);
        uint64_t size = 0, blocks = 0;
        brkmap_ctl((row + ".size").c_str(), &size, &length, nullptr, 0);
        brkmap_ctl((row + ".blocks").c_str(), &blocks, &length, nullptr, 0);
        if (blocks > 1000) std::printf("%6" PRIu64 " bytes: %" PRIu64 " blocks\n", size, blocks);
    }
    return 0;
}
