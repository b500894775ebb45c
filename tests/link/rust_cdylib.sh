#!/usr/bin/env bash
# behaviour: a Rust library with the Rust face, opened and closed by a C program and by a Rust program that has the face
#   itself, under glibc's malloc and under the preloaded library; it exports nothing of malloc
# source: dlopen(3), dlclose(3)
# timeout: 120
nm -D --defined-only "$RUST/libface.so" > names
grep -Eq ' (malloc|free|calloc|realloc)$' names && exit 1
gcc -O1 -g -Wall -Werror -fno-builtin -pthread -D_GNU_SOURCE "$SOURCES/opener.c" -o opener
for preload in "" "$LIBRARIES/libbrkmap.so"; do
    test "$(LD_PRELOAD=$preload ./opener "$RUST/libface.so")" = done
    LD_PRELOAD=$preload "$RUST/host" open "$RUST/libface.so" "$(test -n "$preload" && echo libbrkmap.so || echo libc.so.6)"
done
