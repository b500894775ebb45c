#!/usr/bin/env bash
# behaviour: programs built with a sanitizer run with the library preloaded, and the sanitizer still finds its fault; a
#   shared AddressSanitizer runtime, which must come first, says so itself and ends the program
# source: gcc(1) -fsanitize; the sanitizers bring a malloc of their own
set -eu
cat > program.c <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv)
{
    char *volatile block = strdup("spoken");
    puts(block);
    free(block);
    block = malloc(100);
    block[argc > 1 ? 100 : 99] = 1;
    free(block);
    volatile int large = 0x7fffffff;
    if (argc > 1) large += argc;
    return 0;
}
C
preloaded() { LD_PRELOAD=$BRKMAP_LIBRARY "$@"; }
gcc -g -O1 -fno-builtin -fsanitize=address -static-libasan program.c -o address
test "$(preloaded ./address)" = spoken
if preloaded ./address fault 2> fault; then exit 1; fi
grep -q heap-buffer-overflow fault
for kind in undefined thread leak; do
    gcc -g -O1 -fno-builtin -fsanitize=$kind program.c -o "$kind"
    test "$(preloaded ./$kind)" = spoken
done
preloaded ./undefined fault 2> fault
grep -q 'signed integer overflow' fault
gcc -g -O1 -fno-builtin -fsanitize=address program.c -o shared
test "$(preloaded ./shared 2> said)" = spoken
grep -q 'brkmap: this program has AddressSanitizer' said
