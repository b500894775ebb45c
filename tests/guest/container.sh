# behaviour: the limit is found from inside a container, whose own group is the root of what it sees; in groups above the
#   process's own; and what a neighbour in the same limit takes counts
# source: cgroup_namespaces(7), cgroups(7); docs/POLICY.md
# timeout: 120
. ./common.sh

group box memory.high=110
seconds 60 - tenant contain tenant keep 100 5 5000
echo "a container: $said"
least 3 "$(number 'back rss' "$said")" "$(number charged "$said")"

# The limit is two levels above; the process's own group has none.
group shop memory.max=110
outer=$GROUP
echo +memory > "$outer/cgroup.subtree_control"
group shop/till
echo +memory > "$GROUP/cgroup.subtree_control"
group shop/till/drawer
seconds 60 - tenant keep 100 5 5000
echo "a limit two levels above: $said"
least 3 "$(number 'back rss' "$said")"

# Far from it alone, near it with what a neighbour has.
echo $((200 * mib)) > "$outer/memory.max"
seconds 20 - tenant keep 100 5 1000
echo "alone below the limit: $said"
most 1 "$(number 'back rss' "$said")"
group shop/neighbour
touch /tmp/neighbour
within glibc tenant sit 85 0 > /tmp/neighbour &
neighbour=$!
until grep -q sits /tmp/neighbour; do holds "the neighbour runs" kill -0 $neighbour; sleep 0.1; done
group shop/till/drawer
seconds 60 - tenant keep 100 5 5000
echo "beside a neighbour with 85 MB: $said"
least 3 "$(number 'back rss' "$said")"
most 0 "$(sed -n 's/^oom_kill //p' "$outer/memory.events")"
