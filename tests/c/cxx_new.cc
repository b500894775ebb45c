/* behaviour: operator new over malloc: bad_alloc, nothrow NULL, the new_handler loop, aligned and sized forms, objects
 *   built before main and destroyed after it
 * source: C++17 [new.delete]
 * ways: preload linked
 */
extern "C" {
#include "check.h"
}
#include <new>
#include <string>
#include <vector>

static std::vector<std::string> early(1000, std::string(100, 'e'));
static int handled;
static void handler()
{
    if (++handled == 3) std::set_new_handler(nullptr);
}

struct alignas(256) Wide {
    char data[300];
};

int main()
{
    volatile size_t huge = PTRDIFF_MAX;
    CHECK(::operator new(huge, std::nothrow) == nullptr);
    bool thrown = false;
    try {
        ::operator delete(::operator new(huge));
    } catch (const std::bad_alloc &) {
        thrown = true;
    }
    CHECK(thrown);
    std::set_new_handler(handler);
    thrown = false;
    try {
        ::operator delete[](::operator new[](huge));
    } catch (const std::bad_alloc &) {
        thrown = true;
    }
    CHECK(thrown);
    CHECK_EQ(handled, 3);
    for (int i = 0; i < 1000; i++) {
        Wide *one = new Wide, *many = new Wide[3];
        CHECK(((uintptr_t)one | (uintptr_t)many) % 256 == 0);
        delete one;
        delete[] many;
        int *number = new int(i);
        CHECK_EQ(*number, i);
        delete number;
        std::vector<int> growing;
        for (int j = 0; j < i; j++) growing.push_back(j);
        CHECK_EQ(growing.size(), i);
    }
    CHECK(early[999] == std::string(100, 'e'));
    return 0;
}
