#!/usr/bin/env bash
# behaviour: the archive in -static and -static-pie programs: glibc's own malloc is not in the program at all, nothing is
#   defined twice, fork and threads work
# source: glibc manual, "Replacing malloc": the whole family must be there, or libc's object comes in too
# timeout: 60
flags="-O1 -g -Wall -Werror -fno-builtin -pthread -D_GNU_SOURCE"
for kind in static static-pie; do
    gcc $flags -$kind "$SOURCES/program.c" "$LIBRARIES/libbrkmap.a" -o $kind
    test "$(./$kind)" = done
    readelf -d $kind | grep -q NEEDED && exit 1
    nm $kind > names
    grep -q ' [Tt] malloc$' names
    grep -q ' _int_malloc$' names && exit 1
done
g++ -std=c++17 -O1 -g -fno-builtin -pthread -static "$SOURCES/program.cc" "$LIBRARIES/libbrkmap.a" -o cxx
test "$(./cxx)" = done
nm cxx > names
grep -q ' _int_malloc$' names && exit 1
exit 0
