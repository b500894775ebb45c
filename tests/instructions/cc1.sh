#!/usr/bin/env bash
# behaviour: the C compiler proper needs no more instructions than with glibc's malloc, but for the bound
# source: real program
# timeout: 300
set -eu
for i in $(seq 1 60); do
    echo "struct s$i { int a[$i]; struct s$i *next; }; int f$i(int x, struct s$i *p) { int t = 0; for (int i = 0; i < x; i++) t += i * $i + (p ? p->a[0] : 3); switch (x % 7) { case 0: return t; case 1: return t * 2; case 5: return t ^ $i; default: return t - 1; } }"
done > big.c
$COUNT "$(gcc -print-prog-name=cc1)" -quiet -O2 big.c -o big.s
