#!/usr/bin/env bash
# behaviour: the archive in a C program, by name on the command line and by -l, at either place of the command line
# source: glibc manual, "Replacing malloc"
# timeout: 60
flags="-O1 -g -Wall -Werror -fno-builtin -pthread -D_GNU_SOURCE"
gcc $flags "$SOURCES/program.c" "$LIBRARIES/libbrkmap.a" -o after
gcc $flags "$LIBRARIES/libbrkmap.a" "$SOURCES/program.c" "$LIBRARIES/libbrkmap.a" -o around
gcc $flags "$SOURCES/program.c" -L"$LIBRARIES" -l:libbrkmap.a -Wl,--gc-sections -o collected
gcc $flags "$SOURCES/program.c" -no-pie "$LIBRARIES/libbrkmap.a" -o fixed
for program in after around collected fixed; do
    test "$(./$program)" = done
    # It is in the program, and libraries find it there.
    nm -D --defined-only $program | grep -q ' T malloc$'
    readelf -d $program | grep -q 'NEEDED.*libbrkmap' && exit 1
done
exit 0
