#!/usr/bin/env bash
# behaviour: malloc and free in turn needs no more instructions than with glibc's malloc, but for the bound
# source: own; tests/instructions/loops.c
# timeout: 300
set -eu
gcc -O2 -fno-builtin -o loops "$(dirname "$0")/loops.c"
$COUNT ./loops pairs
