#!/usr/bin/env bash
# behaviour: CPython runs the same: json, threads, subprocess, every object on malloc
# source: real program
# programs: python3.11
# timeout: 60
set -eu
cat > work.py <<'PY'
import collections, gc, hashlib, json, re, subprocess, sys, threading, zlib

def documents(n):
    return [{"id": i, "name": "item %d" % i, "tags": [str(i * k) for k in range(i % 9)], "x": i / 7} for i in range(n)]

text = json.dumps(documents(6000), sort_keys=True)
print("json", len(text), hashlib.sha256(text.encode()).hexdigest())
print("back", json.loads(text) == documents(6000))
print("zlib", zlib.decompress(zlib.compress(text.encode(), 6)) == text.encode())
results = {}

def work(k):
    words = collections.Counter()
    for i in range(3000):
        words.update(re.findall(r"\d+", "a%d b%d c%d" % (i, i * k, i % 17)))
    results[k] = sorted(words.items())[:50]

threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
for t in threads: t.start()
for t in threads: t.join()
print("threads", hashlib.sha256(repr(sorted(results.items())).encode()).hexdigest())
print("child", subprocess.run([sys.executable, "-c", "print(sum(range(100000)))"], capture_output=True, text=True).stdout)
blobs = [bytearray(i * 97) for i in range(3000)]
del blobs[::2]
gc.collect()
print("blobs", sum(map(len, blobs)))
big = bytearray()
for i in range(2000):
    big += b"x" * 4096
print("grown", len(big))
try:
    bytearray(1 << 62)
except MemoryError:
    print("MemoryError")
PY
python3 work.py
PYTHONMALLOC=malloc python3 work.py
PYTHONMALLOC=malloc python3 -c 'import ast,inspect,json.decoder as d; print(len(ast.dump(ast.parse(inspect.getsource(d)))))'
