#!/usr/bin/env bash
# behaviour: memcheck works on a program with the library preloaded: it takes malloc over, sees the overrun and the leak, and
#   says nothing about a clean run; told not to take it over, the program runs on the library's malloc
# source: valgrind manual, --soname-synonyms
set -eu
cat > program.c <<'C'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static void *work(void *argument)
{
    for (int i = 0; i < 300; i++) {
        char *block = malloc(i * 20);
        if (i) memset(block, 1, i * 20);
        free(block);
    }
    return argument;
}
int main(int argc, char **argv)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, NULL) || pthread_join(thread, NULL)) return 1;
    char *volatile block = strdup("spoken");
    puts(block);
    free(block);
    if (argc > 1) {
        block = malloc(100);
        block[100] = 1;
        block = NULL;
    }
    return 0;
}
C
gcc -g -O1 -fno-builtin program.c -o program -pthread
export LD_PRELOAD=$BRKMAP_LIBRARY
valgrind -q --leak-check=full --error-exitcode=9 ./program 2> clean
test ! -s clean
status=0
valgrind -q --leak-check=full --error-exitcode=9 ./program fault 2> faulty || status=$?
test "$status" -eq 9
grep -q 'Invalid write of size 1' faulty
grep -q '100 bytes in 1 blocks are definitely lost' faulty
valgrind -q --tool=none ./program
valgrind -q --soname-synonyms=somalloc=nouserintercepts --undef-value-errors=no --error-exitcode=9 ./program
