#!/usr/bin/env bash
# behaviour: gcc and g++ compile, link and run the same; the object code is equal byte for byte
# source: real program
# programs: x86_64-linux-gnu-gcc-12 cc1 cc1plus x86_64-linux-gnu-as collect2 x86_64-linux-gnu-ld.bfd
# timeout: 120
set -eu
{
    echo '#include <stdio.h>'
    for i in $(seq 1 400); do
        echo "struct s$i { int a[$i]; struct s$i *next; }; static int f$i(int x, struct s$i *p) { int t = 0; for (int i = 0; i < x; i++) t += i * $i + (p ? p->a[0] : 3); switch (x % 7) { case 0: return t; case 1: return t * 2; case 5: return t ^ $i; default: return t - 1; } }"
    done
    echo 'int main(void) { long s = 0;'
    for i in $(seq 1 400); do echo "s += f$i($i, 0);"; done
    echo 'printf("%ld\n", s); return 0; }'
} > big.c
gcc -O2 -c big.c -o big.o
sha256sum big.o
gcc big.o -o big
./big
cat > words.cc <<'CC'
#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <regex>
#include <string>
#include <vector>
template <int N> struct Fib { static constexpr long value = Fib<N - 1>::value + Fib<N - 2>::value; };
template <> struct Fib<0> { static constexpr long value = 0; };
template <> struct Fib<1> { static constexpr long value = 1; };
int main()
{
    std::map<std::string, std::vector<std::shared_ptr<std::string>>> all;
    for (int i = 0; i < 30000; i++) all[std::to_string(i % 977)].push_back(std::make_shared<std::string>(i % 90, 'x'));
    size_t sum = 0;
    for (auto &[key, list] : all) {
        std::sort(list.begin(), list.end(), [](auto &a, auto &b) { return a->size() < b->size(); });
        sum += list.front()->size() * 3 + list.back()->size();
    }
    std::cout << sum << ' ' << Fib<60>::value << ' ' << std::regex_match("abc123", std::regex("[a-c]+\\d+")) << '\n';
    try {
        std::vector<long> huge(static_cast<size_t>(-1) / 16);
    } catch (const std::bad_alloc &) {
        std::cout << "bad_alloc\n";
    }
}
CC
g++ -std=c++17 -O1 -c words.cc -o words.o
sha256sum words.o
g++ words.o -o words
./words
