# What the scripts share. They are read by busybox's sh with -eu, in the guest; each says what it saw, and fails at the first
# thing that does not hold.

mib=1048576

# group NAME FILE=MIB…: a fresh control group with these limits.
group() {
    export GROUP=/sys/fs/cgroup/$1
    shift
    mkdir -p "$GROUP"
    for limit in "$@"; do echo $((${limit#*=} * mib)) > "$GROUP/${limit%=*}"; done
}

# within MALLOC COMMAND…: runs it in the group. MALLOC: `glibc`, or options for brkmap, `-` for none.
within() {
    (
        sh -c 'echo $PPID' > "$GROUP/cgroup.procs"
        case $1 in
            glibc) export MALLOC_IN_FORCE=libc.so.6 ;;
            -) export MALLOC_IN_FORCE=libbrkmap.so LD_PRELOAD=/lib/libbrkmap.so ;;
            *) export MALLOC_IN_FORCE=libbrkmap.so LD_PRELOAD=/lib/libbrkmap.so BRKMAP_CONF=$1 ;;
        esac
        shift
        exec "$@"
    )
}

# seconds LIMIT MALLOC COMMAND…: as `within`, for so long at most; everything it says on one line, its status in $status.
seconds() {
    local limit=$1 malloc=$2
    shift 2
    status=0
    said=$(within "$malloc" timeout -s KILL "$limit" "$@" 2>&1) || status=$?
    said=$(echo "$said" | tr '\n' ' ')
}

# event NAME: how often it happened to the group.
event() { sed -n "s/^$1 //p" "$GROUP/memory.events"; }

# number WORDS TEXT: the last number that stands behind these words.
number() {
    local found
    found=$(echo " $2" | sed -n "s/.* $1 \(-\{0,1\}[0-9][0-9]*\).*/\1/p")
    [ -n "$found" ] || { echo "no number behind '$1' in: $2" >&2; exit 1; }
    echo "$found"
}

# most BOUND VALUE…, least BOUND VALUE…: each value keeps the bound.
most() {
    local bound=$1
    shift
    for value in "$@"; do [ "$value" -le "$bound" ] || { echo "does not hold: $value is at most $bound"; exit 1; }; done
}
least() {
    local bound=$1
    shift
    for value in "$@"; do [ "$value" -ge "$bound" ] || { echo "does not hold: $value is at least $bound"; exit 1; }; done
}

# holds WHAT COMMAND…: the command succeeds.
holds() {
    local what=$1
    shift
    "$@" || { echo "does not hold: $what"; exit 1; }
}

# contains PATTERN TEXT: a line of it matches.
contains() { echo "$2" | grep -q -- "$1" || { echo "does not hold: '$1' is in: $2"; exit 1; }; }

# What the kernel makes huge pages of: always, madvise, never.
huge_pages() { echo "$1" > /sys/kernel/mm/transparent_hugepage/enabled; }
