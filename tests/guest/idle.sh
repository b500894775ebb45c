# behaviour: a program that frees most of its memory and sleeps becomes small by itself, in RSS and on the account of its
#   group, inside a limit as outside, whatever the kernel makes huge pages of; then it has no thread of ours
# source: Linux Documentation/admin-guide/cgroup-v2.rst, memory.current; docs/POLICY.md
# timeout: 120
. ./common.sh

# Where the kernel makes huge pages of everything, it looks every ten seconds where some 16 MiB could become huge, holes or
# not. Here it looks at everything, five times a second.
cd /sys/kernel/mm/transparent_hugepage/khugepaged
echo 200 > scan_sleep_millisecs
echo 200 > alloc_sleep_millisecs
echo 100000 > pages_to_scan

for way in "always 105" "always max" "madvise 105" "madvise max" "never 105"; do
    thp=${way% *}
    limit=${way#* }
    huge_pages "$thp"
    group "alone-$limit-$thp"
    [ $limit = max ] || echo $((limit * mib)) > "$GROUP/memory.max"
    seconds 30 - tenant alone 96 1
    echo "huge pages $thp, memory.max $limit: $said"
    holds "it ends, status $status" test "$status" -eq 0
    least 90 "$(number 'full: charged' "$said")"
    most 14 "$(number rss "$said")"
    most 14 "$(number 'charged' "$said")"
    most 5000 "$(number 'small after' "$said")"
    most 1 "$(number threads "$said")"
    least 2 "$(number at-most "$said")"
done
huge_pages always
group alone-glibc memory.max=4000
seconds 40 glibc tenant alone 96 1
echo "glibc: $said"
least 90 "$(number rss "$said")"
