# behaviour: `brkmap inspect`, `doctor` and `run` say which limit the process's group has, what all of the group use of it and
#   what is left, as the kernel's files have it
# source: docs/INSPECT.md, docs/DOCTOR.md; Linux Documentation/admin-guide/cgroup-v2.rst
# timeout: 120
# programs: brkmap
. ./common.sh

# said LIMIT TEXT: the line names the limit, and use and head-room add up to it.
said() {
    local limit used room
    echo "$2"
    limit=$(echo "$2" | sed -n 's/.*limit \([0-9]*\)\.\([0-9]\) MiB.*/\1\2/p')
    used=$(echo "$2" | sed -n 's/.*group use \([0-9]*\)\.\([0-9]\) MiB.*/\1\2/p')
    room=$(echo "$2" | sed -n 's/.*head-room \([0-9]*\)\.\([0-9]\) MiB.*/\1\2/p')
    most $(($1 * 10)) "$limit"
    least $(($1 * 10)) "$limit"
    most $((limit + 1)) $((used + room))
    least $((limit - 1)) $((used + room))
}

group shown memory.high=400 memory.max=500
touch /tmp/sits
within glibc tenant sit 100 50 > /tmp/sits &
started=$!
until grep -q sits /tmp/sits; do holds "the program runs" kill -0 $started; sleep 0.1; done
pid=$(pidof tenant)
line=$(brkmap inspect "$pid" | grep '^cgroup')
said 400 "$line"
charged=$(($(cat "$GROUP/memory.current") * 10 / mib))
used=$(echo "$line" | sed 's/.*group use \([0-9]*\)\.\([0-9]\) MiB.*/\1\2/')
most $((charged + 10)) "$used"
least $((charged - 10)) "$used"

echo $((120 * mib)) > "$GROUP/memory.max"
line=$(brkmap inspect "$pid" | grep '^cgroup')
said 120 "$line"
echo $((500 * mib)) > "$GROUP/memory.max"
line=$(within glibc brkmap run --alloc system -- tenant keep 30 10 100 2>&1 | grep '^cgroup')
said 400 "$line"
line=$(within glibc brkmap doctor --json | grep -B 3 '"subject": "cgroup"' | grep '"finding"')
echo "doctor: $line"
contains 'version 2, [0-9.]* MiB of 400.0 MiB used' "$line"
