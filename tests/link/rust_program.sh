#!/usr/bin/env bash
# behaviour: a Rust program with the Rust face, alone and under the preloaded library: two engines in one process, blocks of
#   each freed to its own; a block given to the wrong one ends the program with the fatal line
# source: Rust's std::alloc::GlobalAlloc
# timeout: 60
"$RUST/host" work libc.so.6
LD_PRELOAD=$LIBRARIES/libbrkmap.so "$RUST/host" work libbrkmap.so
for case in c-block rust-block; do
    status=0
    LD_PRELOAD=$LIBRARIES/libbrkmap.so "$RUST/host" $case 2> fatal || status=$?
    test "$status" -eq 134
    test "$(grep -c '^brkmap: fatal: invalid free ptr=0x' fatal)" -eq 1
done
status=0
"$RUST/host" c-block 2> fatal || status=$?
test "$status" -eq 134
grep -q '^brkmap: fatal: invalid free ptr=0x' fatal
