#!/usr/bin/env bash
# behaviour: xz with two threads compresses the same and unpacks again
# source: real program
# programs: xz
# timeout: 90
set -eu
{
    seq 1 200000
    for i in $(seq 1 60); do seq "$i" $((i + 1000)) | sort; done
} > plain
xz -T2 -6 --block-size=256KiB -k -c plain > packed.xz
sha256sum < packed.xz
xz -dc -T2 packed.xz | cmp - plain && echo same
xz -lv packed.xz | grep -E 'Blocks|Streams' | tr -s ' '
xz -T1 -9e -c plain | sha256sum
