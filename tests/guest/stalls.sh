# behaviour: where tasks of the group wait for memory (memory.pressure), free memory goes back although more than enough is
#   left below the limit without page cache; page cache alone is no reason
# source: Linux Documentation/accounting/psi.rst; docs/POLICY.md
# timeout: 180
. ./common.sh

group stalls memory.max=280
# As long as somebody has the disk open, what was read of it stays.
exec 5< /dev/nvme0n1
neighbour() { (sh -c 'echo $PPID' > "$GROUP/cgroup.procs"; exec dd if=/dev/nvme0n1 of=/dev/null bs=1M "$@" 2> /dev/null); }
stalled() { sed -n 's/some avg10=\([0-9]*\)\..*/\1/p' "$GROUP/memory.pressure"; }
amount() { echo $(($(sed -n "s/^$1 //p" "$GROUP/memory.stat") / mib)); }
room() { echo $(((280 * mib - $(cat "$GROUP/memory.current")) / mib + $(amount inactive_file))); }
# look MALLOC MS WHEN: 5 of 100 MB are free, within the budget: how many go back within MS, and how much room there is meanwhile.
look() {
    : > /tmp/kept
    within "$1" timeout -s KILL 60 tenant keep 100 5 "$2" > /tmp/kept 2>&1 &
    tenant=$!
    until grep -q full /tmp/kept; do
        holds "the program runs" kill -0 $tenant
        sleep 0.2
    done
    left=$(room)
    wait $tenant
    back=$(number 'back rss' "$(tr '\n' ' ' < /tmp/kept)")
    echo "$3, under $1: tasks stalled for $(stalled) % of the time, $left MiB of room without inactive page cache; went back $back MiB"
}

neighbour
# That alone may have been a wait, on a slow machine; it is forgotten in some seconds.
waited=0
while [ "$(stalled)" -gt 9 ] && [ $waited -lt 120 ]; do
    sleep 0.5
    waited=$((waited + 1))
done
look - 1000 "page cache"
most 1 "$back"
least 40 "$left"
most 9 "$(stalled)"

# Eight neighbours read more than there is room for, each from another place on.
loops=
trap 'kill $loops || true; echo 1 > "$GROUP/cgroup.kill"' EXIT
for place in 0 50 100 150 200 250 300 350; do
    while :; do
        neighbour skip="$place"
        neighbour count="$place"
    done &
    loops="$loops $!"
done
waited=0
while [ "$(stalled)" -lt 12 ] && [ $waited -lt 120 ]; do
    sleep 0.5
    waited=$((waited + 1))
done
least 12 "$(stalled)"
look - 5000 "stalls"
least 3 "$back"
least 40 "$left"
look pressure:off 1000 "stalls"
most 1 "$back"
