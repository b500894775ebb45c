# Drives the measured redis server through its socket, then asks it to end.
tries=0
until redis-cli -s redis.sock ping >/dev/null 2>&1; do
  tries=$((tries + 1))
  [ "$tries" -lt 200 ] || { echo "redis-server did not answer within 10 s" >&2; exit 1; }
  sleep 0.05
done
redis-benchmark -s redis.sock -q -n 240000 -r 50000 -d 100 -P 16 -c 8 -t set,get,lpush,hset,sadd >/dev/null
redis-cli -s redis.sock shutdown nosave
