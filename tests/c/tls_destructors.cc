/* behaviour: allocation works in the destructors of C++ thread_local objects, those made late too, and frees from there
 *   reach other threads' blocks
 * source: C++17 [basic.start.term]; Itanium C++ ABI (__cxa_thread_atexit)
 */
extern "C" {
#include "check.h"
}
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

static std::atomic<int> destroyed;

struct Late {
    std::vector<std::string> words;
    ~Late()
    {
        for (int i = 0; i < 100; i++) words.push_back(std::string(i * 20, 'x'));
        CHECK_EQ(words.size(), 100);
        destroyed++;
    }
};

struct Early {
    std::map<int, std::unique_ptr<int[]>> numbers;
    ~Early()
    {
        thread_local Late late;
        late.words.clear();
        for (int i = 0; i < 50; i++) numbers[i] = std::make_unique<int[]>(i * 40 + 1);
        CHECK_EQ(numbers.size(), 50);
        destroyed++;
    }
};

int main()
{
    for (int round = 0; round < 200; round++) {
        std::string *shared = nullptr;
        std::thread maker([&] {
            thread_local Early early;
            early.numbers[3] = std::make_unique<int[]>(1000);
            shared = new std::string(5000, 'y');
        });
        maker.join();
        std::thread taker([&] {
            thread_local std::unique_ptr<std::string> owned;
            owned.reset(shared);
            thread_local Early early;
        });
        taker.join();
    }
    CHECK(destroyed >= 400);
    return 0;
}
