#!/usr/bin/env bash
# behaviour: with the library preloaded, a program built with a shared ThreadSanitizer or LeakSanitizer runtime is started
#   again without it, after one line that says so: no false race, no missed leak, other preloaded libraries kept; with the
#   runtime first in LD_PRELOAD, AddressSanitizer works and the library keeps quiet; a sanitizer in a linked program stays
#   first by itself
# source: gcc(1) -fsanitize, -static-libasan
# timeout: 90
library=$LIBRARIES/libbrkmap.so
line() { echo "brkmap: this program has $1, which needs its own malloc; starting the program again without brkmap"; }
for kind in address thread leak; do gcc -g -O1 -fno-builtin -fsanitize=$kind "$SOURCES/race.c" -o $kind -pthread; done
echo 'int companion;' > companion.c
gcc -shared -fPIC companion.c -o companion.so
echo '#include <stdlib.h>
#include <stdio.h>
__attribute__((destructor)) static void tell(void) { fprintf(stderr, "preload=%s\n", getenv("LD_PRELOAD")); }' > tell.c
gcc -shared -fPIC tell.c -o tell.so

LD_PRELOAD=$library ./thread > out 2> said
test "$(cat out)" = done
test "$(cat said)" = "$(line ThreadSanitizer)"
LD_PRELOAD=./tell.so:$library:./companion.so ./thread > out 2> said
test "$(cat out)" = done
grep -qx 'preload=./tell.so:./companion.so' said
status=0
LD_PRELOAD=$library ./leak leak > out 2> said || status=$?
test "$status" -ne 0
test "$(head -1 said)" = "$(line LeakSanitizer)"
grep -q '100 byte(s) leaked' said

runtime=$(realpath "$(gcc -print-file-name=libasan.so)")
test "$(LD_PRELOAD=$runtime:$library ./address 2>&1)" = done
status=0
LD_PRELOAD=$runtime:$library ./address overrun > out 2> said || status=$?
test "$status" -ne 0
grep -q heap-buffer-overflow said
grep -q brkmap: said && exit 1

for kind in address thread; do
    gcc -g -O1 -fno-builtin -fsanitize=$kind "$SOURCES/race.c" -o linked-$kind -pthread "$library" -Wl,-rpath,"$LIBRARIES"
    test "$(./linked-$kind 2>&1)" = done
done
