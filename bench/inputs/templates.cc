// Enough of the standard library's templates to keep a C++ compiler busy.
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

template <int N> struct Shape {
    std::map<std::string, std::vector<std::shared_ptr<Shape<N - 1>>>> parts;
    std::unordered_map<int, std::variant<std::string, double, std::vector<int>>> marks;
    std::function<int(const Shape &)> weigh;
    int total() const {
        int sum = 0;
        for (const auto &[name, list] : parts)
            sum += std::accumulate(list.begin(), list.end(), int(name.size()),
                                   [](int a, const auto &part) { return a + part->total(); });
        return sum + N;
    }
};
template <> struct Shape<0> {
    int total() const { return 1; }
};

int main() {
    Shape<12> shape;
    std::vector<std::string> words = {"one-1", "two-2", "three"};
    std::sort(words.begin(), words.end(), std::greater<>());
    return shape.total() + int(std::count_if(words.begin(), words.end(), [&](const std::string &word) {
               return word.find('-') != word.npos;
           }));
}
