#!/usr/bin/env bash
# behaviour: git fsck and gc need no more instructions than with glibc's malloc, but for the bound
# source: real program
# timeout: 300
set -eu
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=c GIT_COMMITTER_EMAIL=c@example.org
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
export GIT_AUTHOR_DATE="2020-01-01 00:00:00 +0000" GIT_COMMITTER_DATE="2020-01-01 00:00:00 +0000"
git init -q -b main repository
cd repository
for commit in 1 2 3 4; do
    for directory in 0 1 2 3; do
        mkdir -p "$directory"
        seq "$((commit * directory))" "$((commit * directory + 1000))" > "$directory/numbers"
        for file in 0 1 2 3 4 5 6 7; do echo "$commit $directory $file" > "$directory/$file"; done
    done
    git add -A
    git commit -q -m "commit $commit"
done
$COUNT git fsck --full
$COUNT git -c pack.threads=1 pack-objects --all --stdout -q < /dev/null > /dev/null
$COUNT git log -p --stat > /dev/null
