#!/usr/bin/env bash
# behaviour: bash and the text tools run the same: arrays, subshells, sort, awk, sed, tar
# source: real program
# programs: bash sort sed tar ls
# timeout: 60
set -eu
declare -A table
for ((i = 0; i < 12000; i++)); do table[key$((i * 7919 % 4001))]+="$i "; done
echo "${#table[@]}"
for key in "${!table[@]}"; do echo "$key ${table[$key]}"; done | sort | sha256sum
list=()
for ((i = 0; i < 20000; i++)); do list+=("item $i"); done
unset 'list[500]'
echo "${#list[@]} ${list[*]: -3}"
text=$(seq 1 50000)
echo "${#text}"
for i in 1 2 3 4 5; do (echo "sub $i $BASH_SUBSHELL"); done
seq 1 200000 | sort -R --random-source=<(yes) | sort -n --parallel=2 | awk '{s += $1} END {print s}'
seq 1 100000 | sed -E 's/([0-9])([0-9]*)/\2-\1/' | sort -u | tail -2
mkdir tree
for i in $(seq 1 200); do echo "$i" > "tree/$i"; done
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf tree.tar tree
sha256sum < tree.tar
ls -1 tree | wc -l
find tree -name '*7*' | sort | sha256sum
