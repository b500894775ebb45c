#!/usr/bin/env bash
# behaviour: the archive beside a Rust static library with a standard library of its own (dynamic and -static): no name
#   clashes, its panics unwind, its blocks are brkmap's
# source: The Rust Reference, Linkage: a staticlib carries all of its Rust dependencies
# timeout: 60
flags="-O1 -g -Wall -Werror -fno-builtin -pthread -D_GNU_SOURCE"
objects="$SOURCES/program.c $SOURCES/companion_neighbour.c $RUST/libneighbour.a"
for order in "$objects $LIBRARIES/libbrkmap.a" "$LIBRARIES/libbrkmap.a $objects $LIBRARIES/libbrkmap.a"; do
    gcc $flags $order -lm -ldl -o dynamic
    test "$(./dynamic 2> panic)" = done
    grep -q 'this panic is part of the test' panic
done
# Rust's standard library looks for getaddrinfo and the like, which a static glibc warns about.
gcc $flags -static $objects "$LIBRARIES/libbrkmap.a" -lm -ldl -o static
test "$(./static 2> panic)" = done
grep -q 'this panic is part of the test' panic
nm static > names
grep -q ' _int_malloc$' names && exit 1
exit 0
