# behaviour: as root with tracefs, `brkmap syscalls PID` watches a running process by the kernel's tracepoints, without
#   stopping it, and misses none of its calls
# source: perf_event_open(2); docs/SYSCALLS_VIEW.md
# timeout: 120
# programs: brkmap
. ./common.sh

group traced
rm -f /tmp/go
within mmap_threshold:256K tenant calls 100 &
started=$!
until worker=$(pidof tenant); do holds "the program runs" kill -0 $started; sleep 0.1; done
brkmap syscalls "$worker" --for 60 > /tmp/seen 2>&1 &
watcher=$!
# It has its counters of events, so it watches.
until ls -l /proc/$watcher/fd 2> /dev/null | grep -q perf_event; do holds "brkmap runs: $(cat /tmp/seen)" kill -0 $watcher; sleep 0.1; done
# All of them: their number has not changed for a while.
events() { ls -l /proc/$watcher/fd 2> /dev/null | grep -c perf_event || true; }
opened=0
until [ "$(events)" -eq "$opened" ]; do
    opened=$(events)
    sleep 1
done
sleep 3
touch /tmp/go
wait $started
wait $watcher
cat /tmp/seen
contains 'by tracepoints, never stopped' "$(cat /tmp/seen)"
# Beside those of the blocks there may be one for the heap itself.
seen=$(tr -s ' ' < /tmp/seen)
mapped=$(number mmap "$(echo "$seen" | grep '^ mmap ')")
least 100 "$mapped"
most 101 "$mapped"
contains '^ munmap 100 -100.0 MiB' "$seen"
