#!/usr/bin/env bash
# behaviour: memcheck and brkmap preloaded, linked, or as the archive: memcheck takes the whole family over, a clean run is
#   clean, the overrun and the leak are seen; with `--soname-synonyms=somalloc=nouserintercepts` the program runs on brkmap
# source: valgrind manual, 4.3 (memcheck), --soname-synonyms
# timeout: 120
gcc -g -O1 -fno-builtin -D_GNU_SOURCE "$SOURCES/family.c" -o plain
gcc -g -O1 -fno-builtin -D_GNU_SOURCE "$SOURCES/family.c" "$LIBRARIES/libbrkmap.so" -Wl,-rpath,"$LIBRARIES" -o linked
gcc -g -O1 -fno-builtin -D_GNU_SOURCE "$SOURCES/family.c" "$LIBRARIES/libbrkmap.a" -o archive
check() { # PRELOAD PROGRAM
    status=0
    LD_PRELOAD=$1 valgrind -q --leak-check=full --error-exitcode=9 "$2" > out 2> said || status=$?
    test "$status $(cat out said)" = "0 done"
    LD_PRELOAD=$1 valgrind -q --leak-check=full --error-exitcode=9 "$2" overrun > out 2> said || status=$?
    test "$status" -eq 9
    grep -q 'Invalid write of size 1' said
    grep -q 'is 0 bytes after a block of size 100' said
    grep -q '100 bytes in 1 blocks are definitely lost' said
    # On brkmap's own malloc no overrun can be seen, and nothing may go wrong.
    test "$(LD_PRELOAD=$1 valgrind -q --soname-synonyms=somalloc=nouserintercepts --undef-value-errors=no \
        --error-exitcode=9 "$2" overrun)" = done
}
check "$LIBRARIES/libbrkmap.so" ./plain
check "" ./linked
check "" ./archive
