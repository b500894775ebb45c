# behaviour: near memory.high free memory goes back by itself, and before the process grows, so the kernel need not throttle
#   it; with pressure:off, as under glibc, the group goes over the limit again and again; far from it the budget stays
# source: Linux Documentation/admin-guide/cgroup-v2.rst, memory.high and memory.events; docs/POLICY.md
# timeout: 180
. ./common.sh

# 5 of 100 MB are free, within the budget.
for way in "- near 110" "- far 4000" "pressure:off near 110" "glibc near 110"; do
    set -- $way
    group "keep-$1-$2" memory.high="$3"
    # Where it is to fall, the wait ends when it has fallen.
    case $way in "- near"*) most_ms=5000 ;; *) most_ms=1000 ;; esac
    seconds 60 "$1" tenant keep 100 5 $most_ms
    echo "idle, $2 memory.high: went back under $1: $(number 'back rss' "$said") MiB of RSS, $(number charged "$said") MiB of the account"
    case $way in
        "- near"*) least 3 "$(number 'back rss' "$said")" "$(number charged "$said")"; most 2 "$(event high)" ;;
        *) most 1 "$(number 'back rss' "$said")" "$(number charged "$said")" ;;
    esac
done

# 10 of 100 MB become free and 30 more are needed: together above the limit, without what is free below it.
for thp in always madvise; do
    huge_pages $thp
    group "work-$thp" memory.high=124
    seconds 60 - tenant work 100 10 30 6
    echo "huge pages $thp, work under -: round $(number round "round 0 $said") of 6, over memory.high $(event high) times"
    holds "all rounds, status $status" test "$status" -eq 0
    most 8 "$(event high)"
done

# The kernel lets who is over the limit wait, for seconds each time, so these are ended when they have been often enough.
for malloc in pressure:off glibc; do
    group "work-$malloc" memory.high=124
    within $malloc tenant work 100 10 30 6 > /tmp/worked 2>&1 &
    started=$!
    waited=0
    while [ "$(event high)" -lt 30 ] && [ $waited -lt 200 ] && kill -0 $started; do
        sleep 0.2
        waited=$((waited + 1))
    done
    echo 1 > "$GROUP/cgroup.kill"
    wait $started || true
    echo "huge pages madvise, work under $malloc: in round $(($(number round "round 0 $(tr '\n' ' ' < /tmp/worked)") + 1)) of 6, over memory.high $(event high) times"
    least 30 "$(event high)"
done
