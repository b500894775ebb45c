#!/usr/bin/env bash
# behaviour: xz with one thread needs no more instructions than with glibc's malloc, but for the bound
# source: real program
# timeout: 300
set -eu
seq 1 20000 > plain
$COUNT xz -T1 -2 -k -c plain > packed.xz
