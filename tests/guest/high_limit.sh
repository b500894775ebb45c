# behaviour: near memory.high free memory goes back by itself, and before the process grows, so the kernel need not throttle
#   it; with pressure:off, as under glibc, the group goes over the limit again and again; far from it the budget stays
# source: Linux Documentation/admin-guide/cgroup-v2.rst, memory.high and memory.events; docs/POLICY.md
# timeout: 60
. ./common.sh

# 5 of 100 MB are free, within the budget.
for way in "- near 110" "- far 4000" "pressure:off near 110" "glibc near 110"; do
    set -- $way
    group "keep-$1-$2" memory.high="$3"
    seconds 20 "$1" tenant keep 100 5 1500
    echo "idle, $2 memory.high: went back under $1: $(number 'back rss' "$said") MiB of RSS, $(number charged "$said") MiB of the account"
    case $way in
        "- near"*) least 3 "$(number 'back rss' "$said")" "$(number charged "$said")"; most 2 "$(event high)" ;;
        *) most 1 "$(number 'back rss' "$said")" "$(number charged "$said")" ;;
    esac
done

# 10 of 100 MB become free and 30 more are needed: together above the limit, without what is free below it.
# The kernel lets who is over the limit wait, so the others get a few seconds only.
for way in "- always 40" "- madvise 40" "pressure:off madvise 4" "glibc madvise 4"; do
    set -- $way
    huge_pages "$2"
    group "work-$1-$2" memory.high=124
    seconds "$3" "$1" tenant work 100 10 30 6
    echo "huge pages $2, work under $1: round $(number round "round 0 $said") of 6, over memory.high $(event high) times"
    case $1 in
        -) holds "all rounds, status $status" test "$status" -eq 0; most 8 "$(event high)" ;;
        *) least 30 "$(event high)" ;;
    esac
done
