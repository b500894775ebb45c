#!/usr/bin/env bash
# behaviour: in a control group near its limit, or whose tasks stall, free memory goes back by itself and before a process
#   grows; far from it, or switched off, the budget stays; whatever the files say, or whether they can be read, does no harm
# source: cgroups(7), Linux Documentation/admin-guide/cgroup-v2.rst; docs/POLICY.md
# timeout: 240

# First with files that are made up, in a mount namespace of their own, and read by the library as any others; then, where
# a control group can be made, in a real one with a limit that kills.
set -eu
work=$PWD
gcc -O1 -Wall -Werror -fno-builtin -pthread -D_GNU_SOURCE "$REPOSITORY/tests/beside/cgroup.c" -o program
private=(unshare --mount)
[ "$(id -u)" -eq 0 ] || private=(unshare --user --map-root-user --mount)
"${private[@]}" true || { echo "no mount namespace can be made here, so the files cannot be made up"; exit 1; }

cat > stage.sh <<'STAGE'
# LIST: what /proc/self/cgroup says; FILES: what makes the group's files, run in /sys/fs/cgroup; CONF: options; then the program.
set -eu
mount -t tmpfs none /sys/fs/cgroup
(cd /sys/fs/cgroup && eval "$FILES")
# The program keeps the number of this shell, so it sees this list as its own.
if [ -n "${LIST_FILE:-}" ]; then mount --bind "$LIST_FILE" /proc/$$/cgroup
else printf '%b' "$LIST" > list; mount --bind list /proc/$$/cgroup; fi
exec env LD_PRELOAD="$BRKMAP_LIBRARY" BRKMAP_CONF="$CONF" ./program "$@"
STAGE

# stage CONF ARGUMENTS…
stage() {
    export CONF=$1
    shift
    "${private[@]}" bash stage.sh "$@"
}
mib=1048576
export LIST='0::/shop/till\n' FILES COUNT='' BASE=0
group() { # limit, current, stalls
    FILES="mkdir -p shop/till; cd shop/till; echo max > memory.high; echo $(($1 * mib)) > memory.max; echo $(($2 * mib)) > memory.current
echo 'some avg10=$3 avg60=0.00 avg300=0.00 total=0' > memory.pressure; echo 'inactive_file ${4:-0}' > memory.stat"
}

least() { for value in "${@:2}"; do test "$value" -ge "$1"; done; }
most() { for value in "${@:2}"; do test "$value" -le "$1"; done; }

# Free memory within the budget: 10 of 200 MB.
group 4000 100 0.00;  far=$(stage '' keep)
group 400 380 0.00;   near=$(stage '' keep); off=$(stage pressure:off keep); cached=$(group 400 380 0.00 $((300 * mib)); stage '' keep)
group 4000 100 55.00; stalls=$(stage '' keep)
echo "went back: far $far, near $near, switched off $off, near by page cache only $cached, stalls $stalls MiB"
least 7 "$near" "$stalls"
most 2 "$far" "$off" "$cached"

# The same before a growth.
group 4000 100 0.00; far=$(stage background:off grow)
group 400 380 0.00;  near=$(stage background:off grow)
echo "went back before a growth: far $far, near $near MiB"
least 7 "$near"
most 2 "$far"

# The first version, in a container: the path is the host's.
LIST='7:pids:/\n4:memory:/docker/0f8c\n0::/\n'
FILES="mkdir memory; cd memory; echo $((400 * mib)) > memory.limit_in_bytes; echo $((380 * mib)) > memory.usage_in_bytes"
near=$(stage '' keep)
echo "went back, first version: $near MiB"
least 7 "$near"

# A limit above, and a group that counts what the process has: 200 MiB of its own and 170 of others, of 400.
LIST='0::/shop/till\n'
FILES="mkdir -p shop/till; cd shop; echo $((400 * mib)) > memory.high; echo max > memory.max; echo 0 > memory.current; echo max > till/memory.max"
export COUNT=/sys/fs/cgroup/shop/memory.current BASE=170
near=$(stage '' keep)
BASE=10
far=$(stage '' keep)
echo "went back by a limit above: near $near, far $far MiB"
least 7 "$near"
most 2 "$far"
COUNT=''

# Refused in the middle of its life, and a root without any file.
group 4000 3900 0.00
stage '' around
stage '' refused openat
stage '' refused read
stage '' chroot
# A list of groups that is too long, that never ends, that is none, that nobody writes to.
LIST="0::/$(printf 'x%.0s' $(seq 4000))\n" stage '' around
LIST='\n\n:::\n0::\n4:memory\n' stage '' around
LIST_FILE=/dev/zero stage '' around
mkfifo silent
LIST_FILE=$work/silent stage '' around
# Files that say nonsense.
for text in '' -1 abc 18446744073709551616999 '1 2' '\0\0\0' "$(printf '9%.0s' $(seq 3000))"; do
    FILES="mkdir -p shop/till; cd shop/till; for f in max high current pressure stat; do printf '%b' '$text' > memory.\$f; done" stage '' around
done

# A real group of 256 MiB: 205 MB live, of which 20 are freed and stay in the budget, and 60 MiB more are needed, 20 times.
base=/sys/fs/cgroup/memory limit=memory.limit_in_bytes
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then base=/sys/fs/cgroup limit=memory.max; fi
group=$base/brkmap-test-$$
remove() { for _ in $(seq 50); do rmdir "$group" 2> /dev/null && return; sleep 0.1; done; }
if mkdir "$group" 2> /dev/null; then
    trap remove EXIT
fi
if [ -w "$group/$limit" ]; then
    echo $((256 * mib)) > "$group/$limit"
    [ ! -f "$group/memory.swap.max" ] || echo 0 > "$group/memory.swap.max"
    inside() { (echo "$BASHPID" > "$group/cgroup.procs"; exec env "$@" ./program survive 205 20 60); }
    for malloc in "LD_PRELOAD=$BRKMAP_LIBRARY BRKMAP_CONF=" "LD_PRELOAD=$BRKMAP_LIBRARY BRKMAP_CONF=pressure:off" GLIBC=1; do
        status=0
        # shellcheck disable=SC2086
        inside $malloc > said 2>&1 || status=$?
        echo "in 256 MiB with ${malloc#LD_PRELOAD=*/}: $(tail -1 said) (status $status)"
        case $malloc in
            *CONF=) grep -q survived said && test "$status" -eq 0 ;;
            *off) test "$status" -eq 137 ;;
        esac
    done
else
    echo "no control group can be made here: the made-up files stand for one"
fi
