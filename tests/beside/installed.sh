#!/usr/bin/env bash
# behaviour: `cargo install --path` from a clean copy gives one command that needs nothing else: it unpacks its library to a
#   private place and runs programs on it
# source: README; cargo-install(1)
# timeout: 900
set -eu
mkdir copy home
git -C "$REPOSITORY" ls-files -z | (cd "$REPOSITORY" && xargs -0 tar -cf -) | tar -xf - -C copy
(cd copy && CARGO_TARGET_DIR=$PWD/../built "$CARGO" install --quiet --locked --path crates/cli --root ../installed)
rm -rf copy built
brkmap=$PWD/installed/bin/brkmap
export HOME=$PWD/home
unset XDG_CACHE_HOME
library=$("$brkmap" lib-path)
test "$(basename "$library")" = libbrkmap.so
test "$(stat -c %a "$(dirname "$library")")" = 700
"$brkmap" use -- cat /proc/self/maps | grep -q "$library"
touch -d '2001-01-01' "$library"
test "$("$brkmap" lib-path)" = "$library"
test "$(stat -c %Y "$library")" = "$(date -d '2001-01-01' +%s)"
"$brkmap" run -- sh -c 'cat /proc/self/maps; exit 3' > maps 2> report && exit 1 || test $? -eq 3
grep -q "$library" maps
test -s report
