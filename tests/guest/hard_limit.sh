# behaviour: what is free goes back before memory.max is reached, where it kills a program with pressure:off and under glibc;
#   malloc answers NULL at the option `limit` alone, below the group's limit, and goes on after
# source: Linux Documentation/admin-guide/cgroup-v2.rst, memory.max; malloc(3); docs/POLICY.md
# timeout: 120
. ./common.sh

for way in "- always" "- madvise" "pressure:off madvise" "glibc madvise"; do
    set -- $way
    huge_pages "$2"
    group "work-$1-$2" memory.max=124
    seconds 40 "$1" tenant work 100 10 30 6
    echo "huge pages $2, work under $1: round $(number round "round 0 $said") of 6, killed $(event oom_kill) times"
    case $1 in
        -) holds "all rounds, status $status" test "$status" -eq 0; most 0 "$(event oom_kill)" ;;
        *) holds "killed, status $status" test "$status" -eq 137; least 1 "$(event oom_kill)" ;;
    esac
done

group null memory.max=124
seconds 30 limit:100M tenant until-null
echo "limit:100M below memory.max=124M: $said"
holds "NULL and no kill" test "$status" -eq 0
most 0 "$(event oom_kill)"
least 85 "$(number 'null after' "$said")" "$(number and "$said")"
group no-null memory.max=124
seconds 30 - tenant until-null
echo "without limit: status $status, killed $(event oom_kill)"
holds "killed, not NULL" test "$status" -eq 137
least 1 "$(event oom_kill)"
