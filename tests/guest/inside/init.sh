#!/bin/busybox sh
# The first process of the guest: runs the scripts of /tests/list, each of which is a line NAME SECONDS, one after the other.
#
# What is said on the second serial line is read by `cargo xtask guest`:
#
#     begin NAME
#     | a line of the script's output
#     end NAME STATUS MILLISECONDS
#     over
#
# Everything else, the kernel's own words among it, goes to the first one.
export PATH=/bin LC_ALL=C
/bin/busybox mkdir -p /proc /sys /dev /tmp /run
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tracefs tracefs /sys/kernel/tracing
stty -F /dev/ttyS1 raw
exec 3> /dev/ttyS1
# The groups of the scripts may have limits.
echo +memory > /sys/fs/cgroup/cgroup.subtree_control

huge_pages=$(sed 's/.*\[\(.*\)\].*/\1/' /sys/kernel/mm/transparent_hugepage/enabled)
ms() { sed 's/\([0-9]*\)\.\([0-9]*\) .*/\1\20/' /proc/uptime; }

remove_groups() {
    for group in /sys/fs/cgroup/*/; do
        [ -d "$group" ] || continue
        echo 1 > "$group/cgroup.kill"
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            find "$group" -depth -type d -exec rmdir {} + 2> /dev/null && break
            sleep 0.1
        done
    done
}

while read -r name seconds; do
    echo "begin $name" >&3
    start=$(ms)
    echo "$huge_pages" > /sys/kernel/mm/transparent_hugepage/enabled
    cd /tests
    timeout -s KILL "$seconds" sh -eu "/tests/$name.sh" > /tmp/out 2>&1
    status=$?
    sed 's/^/| /' /tmp/out >&3
    echo "end $name $status $(($(ms) - start))" >&3
    remove_groups
done < /tests/list
echo over >&3
poweroff -f
