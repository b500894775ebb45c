#!/usr/bin/env bash
# behaviour: redis-server serves a client the same, saves in a forked child and reloads
# source: real program; the packaged server is linked with jemalloc, so the baseline preloads libc itself
# programs: redis-check-rdb redis-cli
# baseline: libc.so.6
# timeout: 90
set -eu
socket=$PWD/socket
start() {
    redis-server --port 0 --unixsocket "$socket" --dir "$PWD" --save '' --appendonly no --daemonize no --loglevel warning > server.log 2>&1 &
    server=$!
    for _ in $(seq 1 1200); do
        redis-cli -s "$socket" ping > /dev/null 2>&1 && return
        sleep 0.05
    done
    cat server.log
    exit 1
}
stop() {
    redis-cli -s "$socket" shutdown nosave > /dev/null 2>&1 || true
    wait "$server"
}
client() { redis-cli -s "$socket" "$@"; }
start
for i in $(seq 1 20000); do printf 'SET key:%d value-%0*d\r\nLPUSH list:%d %d\r\nHSET hash:%d f%d %d\r\n' "$i" $((i % 300 + 1)) "$i" $((i % 50)) "$i" $((i % 70)) "$i" "$i"; done | redis-cli -s "$socket" --pipe | tail -1
client eval 'local s = 0 for i = 1, 20000 do s = s + string.len(redis.call("get", "key:" .. i)) end return s' 0
client dbsize
client config get save
client bgsave
tries=0
until client info persistence | grep -q 'rdb_bgsave_in_progress:0'; do
    tries=$((tries + 1))
    if [ $tries -gt 1200 ]; then
        echo "the save in the background does not end"
        exit 1
    fi
    sleep 0.05
done
client info persistence | tr -d '\r' | grep -E 'rdb_last_bgsave_status'
for i in $(seq 1 20000); do printf 'DEL key:%d\r\nAPPEND list2 %d\r\n' "$i" "$i"; done | redis-cli -s "$socket" --pipe | tail -1
client dbsize
client memory doctor > /dev/null
stop
redis-check-rdb dump.rdb | grep -E 'keys read|RDB looks OK' | sed 's/^\[offset [0-9]*\] //'
start
client dbsize
client get key:4711
client llen list:7
client debug sleep 0 > /dev/null
client flushall
stop
