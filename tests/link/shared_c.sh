#!/usr/bin/env bash
# behaviour: a C program linked with -lbrkmap
# source: ld.so(8): symbols are looked up in load order
# timeout: 60
flags="-O1 -g -Wall -Werror -fno-builtin -pthread -D_GNU_SOURCE -Lonly-shared -Wl,-rpath,$LIBRARIES"
mkdir only-shared
ln -s "$LIBRARIES/libbrkmap.so" only-shared/libbrkmap.so
gcc $flags "$SOURCES/program.c" -lbrkmap -o shared
readelf -d shared | grep -q 'NEEDED.*libbrkmap.so.0'
test "$(./shared)" = done
# Wherever it stands on the command line, it comes before libc.
gcc $flags -lbrkmap -Wl,--no-as-needed -lbrkmap "$SOURCES/program.c" -o first
test "$(./first)" = done
