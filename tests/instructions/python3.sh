#!/usr/bin/env bash
# behaviour: a Python program needs no more instructions than with glibc's malloc, but for the bound
# source: real program
# timeout: 300
set -eu
cat > work.py <<'PY'
import json, re
items = [{"id": i, "tags": [str(i * k) for k in range(i % 7)], "x": i / 7} for i in range(2500)]
text = json.dumps(items)
assert json.loads(text) == items
words = {}
for i in range(8000):
    words.setdefault("k%d" % (i * 7919 % 997), []).append("v" * (i % 40))
assert len(re.findall(r"\d+", text)) > 1000
PY
PYTHONHASHSEED=0 $COUNT /usr/bin/python3 work.py
