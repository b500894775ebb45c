#!/usr/bin/env bash
# behaviour: a Rust static library with the Rust face, in C programs: beside glibc's malloc, beside the archive (two
#   engines in one program), and under the preloaded library
# source: The Rust Reference, Linkage
# timeout: 60
flags="-O1 -g -Wall -Werror -fno-builtin -pthread -D_GNU_SOURCE"
echo '#include <stdio.h>
int companion(void);
int main(void) { if (companion()) return 1; puts("done"); return 0; }' > plain.c
gcc $flags plain.c "$SOURCES/companion_face.c" "$RUST/libface.a" -lm -ldl -o plain
test "$(./plain)" = done
test "$(LD_PRELOAD=$LIBRARIES/libbrkmap.so ./plain)" = done
nm -D plain | grep -q ' T malloc$' && exit 1
gcc $flags "$SOURCES/program.c" "$SOURCES/companion_face.c" "$RUST/libface.a" "$LIBRARIES/libbrkmap.a" -lm -ldl -o both
test "$(./both)" = done
gcc $flags -static "$SOURCES/program.c" "$SOURCES/companion_face.c" "$RUST/libface.a" "$LIBRARIES/libbrkmap.a" -lm -o static
test "$(./static)" = done
