# Fills the measured redis server with some 200 MiB, lets it save in a forked child, writes meanwhile and prints what that
# cost: the memory that the child had to itself at its end (rdb_last_cow_size), because one of the two had written to it.
# COW_SMAPS names a file for the child's smaps after the writes, COW_MAP a script that gets the two process ids then.
# COW_KEYS of 300000 strings are written to, COW_HASHES of 5000 hashes, COW_LISTS of 2000 lists.
set -eu
client() { redis-cli -s redis-cow.sock "$@"; }
# However this ends, the server ends too, and the next one finds nothing to load.
trap '[ -z "${child:-}" ] || kill -CONT "$child" 2>/dev/null || true; client shutdown nosave >/dev/null 2>&1 || true; rm -f dump.rdb' EXIT
saving() { client info persistence | grep -q 'rdb_bgsave_in_progress:1'; }
tries=0
until client ping >/dev/null 2>&1; do
  tries=$((tries + 1))
  [ "$tries" -lt 200 ] || { echo "redis-server did not answer within 10 s" >&2; exit 1; }
  sleep 0.05
done
random='local seed = tonumber(ARGV[1])
local function random(n) seed = (seed * 1103515245 + 12345) % 2147483648 return math.floor(seed / 64) % n end '
client eval "$random"'
for i = 1, 300000 do redis.call("set", "key:" .. i, string.rep("x", 16 + random(900))) end
for i = 1, 200000 do redis.call("hset", "hash:" .. i % 5000, "field" .. i, string.rep("y", random(60))) end
for i = 1, 200000 do redis.call("rpush", "list:" .. i % 2000, string.rep("z", random(100))) end' 0 12345 >/dev/null
# What was free at the end of that has gone back by now, where it goes back.
sleep 1
client bgsave >/dev/null
# The child waits for the writes: how much it has saved until then would depend on the machine.
server=$(client info server | tr -d '\r' | awk -F: '/^process_id:/ { print $2 }')
child=$(pgrep -P "$server")
kill -STOP "$child"
round=0
while [ "$round" -lt 40 ]; do
  round=$((round + 1))
  client eval "$random"'
local keys, hashes, lists = ARGV[2], ARGV[3], ARGV[4]
for i = 1, 250 do
  redis.call("set", "key:" .. 1 + random(keys), string.rep("w", 16 + random(900)))
  redis.call("hset", "hash:" .. random(hashes), "new" .. random(100000), string.rep("y", random(60)))
  redis.call("rpush", "list:" .. random(lists), string.rep("z", random(100)))
  redis.call("lpop", "list:" .. random(lists))
  redis.call("del", "key:" .. 1 + random(keys))
end' 0 "$round" "$COW_KEYS" "$COW_HASHES" "$COW_LISTS" >/dev/null
done
saving || { echo "the child had ended before the writes did, so nothing can be said about them" >&2; exit 1; }
[ -z "${COW_SMAPS:-}" ] || cp "/proc/$child/smaps" "$COW_SMAPS"
[ -z "${COW_MAP:-}" ] || python3 "$COW_MAP" "$server" "$child" >&2
kill -CONT "$child"
while saving; do sleep 0.1; done
client info persistence | tr -d '\r' | awk -F: '/^rdb_last_bgsave_status:ok/ { ok = 1 }
  /^rdb_last_cow_size:/ { size = $2 } END { if (!ok) exit 1; printf "value %.2f\n", size / 1048576 }'
