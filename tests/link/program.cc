// new and delete, containers, exceptions and thread-local destructors on brkmap, whose names come from the link line.
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

extern "C" void free_sized(void *block, size_t size);

#define CHECK(condition)                                                      \
    do {                                                                      \
        if (!(condition)) {                                                   \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            std::_Exit(1);                                                    \
        }                                                                     \
    } while (0)

struct alignas(4096) Wide {
    char bytes[4096];
};

struct Keeper {
    std::vector<std::string> words;
    ~Keeper() { words.assign(3, "said at the end of the thread, too long to be kept inside"); }
};
static thread_local Keeper keeper;

static void work(int seed)
{
    std::map<std::string, std::vector<int>> table;
    for (int i = 0; i < 3000; i++) table[std::to_string(i * seed)].assign(i % 90, i);
    keeper.words.push_back(table.begin()->first);
    for (int i = 0; i < 200; i++) {
        try {
            throw std::runtime_error(std::string(i * 10, 'x'));
        } catch (const std::runtime_error &error) {
            CHECK(std::string(error.what()).size() == static_cast<size_t>(i) * 10);
        }
    }
}

int main()
{
    size_t before = mallinfo2().uordblks;
    auto numbers = std::make_unique<int[]>(25000);
    CHECK(mallinfo2().uordblks >= before + 100000);
    std::unique_ptr<Wide> wide(new Wide);
    CHECK(reinterpret_cast<uintptr_t>(wide.get()) % 4096 == 0);
    free_sized(std::malloc(100), 100);
    try {
        volatile size_t huge = SIZE_MAX / 2;
        char *volatile none = new char[huge];
        CHECK(none != nullptr);
        CHECK(!"memory that is not there");
    } catch (const std::bad_alloc &) {
    }
    std::vector<std::thread> threads;
    for (int seed = 1; seed < 5; seed++) threads.emplace_back(work, seed);
    for (auto &thread : threads) thread.join();
    pid_t child = fork();
    if (child == 0) {
        work(7);
        _exit(0);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    std::puts("done");
}
