#!/usr/bin/env bash
# behaviour: `cargo xtask install --prefix` makes a tree that may be moved: pkg-config, CMake, the header in C and C++, the
#   shared library and the archive are found in it, both examples build and run on brkmap's malloc from it, the names in the
#   header are the library's; --destdir puts the same tree elsewhere; no file in it names a folder of the build
# source: pkg-config(1), cmake-packages(7), GNU Coding Standards, "DESTDIR"
# timeout: 900
set -eu
here=$PWD
(cd "$REPOSITORY" && "$CARGO" run --quiet --release --locked -p xtask -- install --prefix "$here/first" > "$here/said" 2>&1) ||
    { cat said; exit 1; }
(cd "$REPOSITORY" && "$CARGO" run --quiet --release --locked -p xtask -- install --prefix /usr --destdir "$here/staged" >> "$here/said" 2>&1) ||
    { cat said; exit 1; }
# The same tree, but for the prefix, in both places: no file knows where it is.
diff -r first staged/usr
mkdir elsewhere
mv first "elsewhere/a place"
prefix="$PWD/elsewhere/a place"
if grep -rlF -e "$PWD" -e "$REPOSITORY" "$prefix/lib" "$prefix/include" "$prefix/share"; then exit 1; fi

# The usual names of a shared library.
test "$(readlink "$prefix/lib/libbrkmap.so")" = libbrkmap.so.0
test "$(readlink "$prefix/lib/libbrkmap.so.0")" = "libbrkmap.so.$("$prefix/bin/brkmap" --version | cut -d' ' -f2)"
readelf -d "$prefix/lib/libbrkmap.so" | grep -q 'SONAME.*\[libbrkmap.so.0\]'
bash -n "$prefix/share/bash-completion/completions/brkmap"
# Manual pages where man looks, one for each verb that the command shows.
MANPATH="$prefix/share/man" man -w brkmap brkmap-run brkmap-inspect
"$prefix/bin/brkmap" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z-]\{1,\}\) .*/\1/p' | grep -vx help | while read -r verb; do
    test -s "$prefix/share/man/man1/brkmap-$verb.1"
done

# pkg-config.
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"
pkg-config --exists --print-errors 'brkmap >= 0.1'
eval "flags=($(pkg-config --cflags --libs brkmap))"
eval "libdir=$(pkg-config --variable=libdir brkmap)"
test "$(realpath "$libdir")" = "$prefix/lib"
gcc -std=c11 -Wall -Wextra -Wpedantic -Werror -O2 "$REPOSITORY/examples/c/main.c" "${flags[@]}" -Wl,-rpath,"$prefix/lib" -o shared
gcc -std=c11 -O2 "$REPOSITORY/examples/c/main.c" -I"$prefix/include" "$libdir/libbrkmap.a" -pthread -o archive
eval "all=($(pkg-config --static --cflags --libs brkmap))"
gcc -std=c11 -O2 -static "$REPOSITORY/examples/c/main.c" "${all[@]}" -o static
for program in shared archive static; do
    ./$program > out
    test "$(wc -l < out)" -eq 6
    grep -Eq '^full +4[789]\.[0-9] MiB allocated' out
    grep -Eq '^trimmed +0\.[0-9] MiB allocated +0\.[0-9] resident' out
    grep -q '^brkmap 0.*: memory went back to the kernel$' out
done
ldd shared | grep -qF "$prefix/lib/libbrkmap.so.0"
ldd archive | grep libbrkmap && exit 1
# A program that names no function of brkmap or malloc keeps the library all the same.
echo 'int main() { delete new int; }' > plain.cc
g++ plain.cc -Wl,--as-needed "${flags[@]}" -o plain
readelf -d plain | grep -q 'NEEDED.*libbrkmap.so.0'

# The header by itself, in each language and dialect that may read it.
echo '#include <brkmap.h>
struct brkmap_stats stats = BRKMAP_STATS_INIT;' > alone.c
for std in c99 c11 c17; do gcc -std=$std -Wall -Wextra -Wpedantic -Werror -c -I"$prefix/include" alone.c -o alone.o; done
for std in c++11 c++17 c++20; do g++ -x c++ -std=$std -Wall -Wextra -Wpedantic -Werror -c -I"$prefix/include" alone.c -o alone.o; done

# Every name that the library knows is in the header, and the other way round.
echo '#include <brkmap.h>
#include <stdio.h>
int main(void) { static char names[1 << 16]; size_t room = sizeof names; return brkmap_ctl("names", names, &room, NULL, 0) || fputs(names, stdout) < 0; }' > names.c
gcc names.c "${flags[@]}" -Wl,-rpath,"$prefix/lib" -o names
./names > names.txt
test "$(wc -l < names.txt)" -gt 100
sed -n '/^ \* Names\./,/^ \*\//p' "$prefix/include/brkmap.h" | tr -s ' ,' '\n' > words
fields=$(sed -n '/^struct brkmap_stats {/,/^};/p' "$prefix/include/brkmap.h" | sed -n 's/^    uint64_t \(.*\);$/\1/p' | grep -v '_calls$')
while read -r name; do
    case $name in
    stats.calls.*) grep -qx "${name#stats.calls.}" words && grep -qx stats.calls.CALL words ;;
    stats.refused.*) grep -qx "${name#stats.refused.}" words && grep -qx stats.refused.CALL words ;;
    stats.counters.*) grep -qx stats.counters.NAME words ;;
    stats.classes | stats.is_estimated | *\<i\>*) grep -qxF "$name" words ;;
    stats.*) grep -qx "${name#stats.}" <<< "$fields" ;;
    *) grep -qxF "$name" words ;;
    esac || { echo "the header does not name $name"; exit 1; }
done < names.txt
for field in $fields; do grep -qx "stats.$field" names.txt; done
grep -E '^(opt|stats)\.[a-z.<>_]+$' words | while read -r name; do grep -qxF "$name" names.txt; done
# And in the documentation.
while read -r name; do
    case $name in stats.calls.* | stats.refused.* | stats.counters.* | opt.* | epoch | names | version | trim) continue ;; esac
    word=${name#stats.}
    grep -qF "\`${word##*.}\`" "$REPOSITORY/docs/STATISTICS.md" || { echo "docs/STATISTICS.md does not explain $name"; exit 1; }
done < names.txt

# CMake: by the package file alone, shared and archive.
cmake -S "$REPOSITORY/examples/cmake" -B build -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_EXE_LINKER_FLAGS=-Wl,--as-needed > said || { cat said; exit 1; }
cmake --build build > said 2>&1 || { cat said; exit 1; }
for program in words words_static; do
    build/$program > out
    grep -q '^50000 words: [0-9]* blocks, [0-9]* bytes$' out
    grep -Eq '^ +[0-9]+ bytes: 50[0-9]{3} blocks$' out
done
ldd build/words | grep -qF "$prefix/lib/libbrkmap.so.0"
ldd build/words_static | grep libbrkmap && exit 1
# A program that names no function of brkmap or malloc keeps the library here, too.
mkdir keeps
cp plain.cc keeps
printf 'cmake_minimum_required(VERSION 3.13)\nproject(p LANGUAGES CXX)\nfind_package(brkmap REQUIRED)\nadd_executable(plain plain.cc)\ntarget_link_libraries(plain brkmap::brkmap)\nadd_executable(inside plain.cc)\ntarget_link_libraries(inside brkmap::brkmap_static)\n' > keeps/CMakeLists.txt
cmake -S keeps -B keeps/build -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_EXE_LINKER_FLAGS=-Wl,--as-needed > said || { cat said; exit 1; }
cmake --build keeps/build > said 2>&1 || { cat said; exit 1; }
readelf -d keeps/build/plain | grep -q 'NEEDED.*libbrkmap.so.0'
keeps/build/plain
nm -D --defined-only keeps/build/inside | grep -q ' T malloc$'
keeps/build/inside
# A version that does not fit, and a tree with a hole, are refused with the reason.
mkdir wrong
printf 'cmake_minimum_required(VERSION 3.13)\nproject(p LANGUAGES C)\nfind_package(brkmap %s REQUIRED)\n' 0.2 > wrong/CMakeLists.txt
cmake -S wrong -B wrong/build -DCMAKE_PREFIX_PATH="$prefix" > said 2>&1 && exit 1
grep -q 'version: 0.1' said
printf 'cmake_minimum_required(VERSION 3.13)\nproject(p LANGUAGES C)\nfind_package(brkmap REQUIRED)\n' > wrong/CMakeLists.txt
mv "$prefix/lib/libbrkmap.a" kept.a
cmake -S wrong -B wrong/build -DCMAKE_PREFIX_PATH="$prefix" > said 2>&1 && exit 1
tr -s '\n ' ' ' < said | grep -q 'libbrkmap.a is missing; install brkmap again'
mv kept.a "$prefix/lib/libbrkmap.a"
cmake -S wrong -B wrong/build -DCMAKE_PREFIX_PATH="$prefix" > said 2>&1

# The installed command works from there.
HOME=$PWD "$prefix/bin/brkmap" use -- ./plain 2>&1 || test $? -ne 125
