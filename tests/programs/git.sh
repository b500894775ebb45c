#!/usr/bin/env bash
# behaviour: git runs the same: add, commit, gc, fsck, clone, blame of a generated repository
# source: real program
# programs: git
# timeout: 90
set -eu
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=c GIT_COMMITTER_EMAIL=c@example.org
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
git init -q -b main repository
cd repository
git config pack.threads 2
for commit in 1 2 3 4 5 6 7 8; do
    for directory in 0 1 2 3 4; do
        mkdir -p "$directory"
        seq $((commit * directory)) $((commit * directory + 2000)) > "$directory/numbers"
        for file in 0 1 2 3 4 5 6 7 8 9; do echo "$commit $directory $file" > "$directory/$file"; done
    done
    export GIT_AUTHOR_DATE="2020-01-0$commit 00:00:00 +0000" GIT_COMMITTER_DATE="2020-01-0$commit 00:00:00 +0000"
    git add -A
    git commit -q -m "commit $commit"
done
git log --format='%H %T %s'
git gc --aggressive --prune=now -q
git fsck --full --strict 2>&1
git count-objects -v | grep -E '^(count|in-pack|packs|garbage)'
git blame 1/numbers | sha256sum
git diff HEAD~5 HEAD | sha256sum
git grep -c 17 HEAD -- '*/numbers'
cd ..
git clone -q --no-local repository copy
git -C copy fsck --full 2>&1
git -C copy log --format=%H | sha256sum
git -C copy archive --format=tar HEAD | sha256sum
