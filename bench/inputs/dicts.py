"""A store of many dicts that forks, as for a snapshot, and goes on: one dict in twenty gets other values and a new key. Prints
the memory, in MiB, that this costs parent and child together: each OS page counts once, however many map it."""
import os
import random
import signal
import time


def share(process):
    with open(f"/proc/{process}/smaps_rollup") as text:
        return sum(int(line.split()[1]) for line in text if line.startswith("Pss_Anon:")) / 1024


random.seed(7)
store = {}
for number in range(150_000):
    store[number] = {"name": "user %d" % number, "mail": "user%d@example.org" % number, "visits": number * 1000}
for number in random.sample(range(150_000), 30_000):
    store[number] = {"name": "other %d" % number, "mail": "x" * random.randrange(200), "visits": [number]}
picked = random.sample(range(150_000), 7_500)
time.sleep(1)
before = share("self")
child = os.fork()
if child == 0:
    signal.pause()
for turn in range(10):
    for number in picked[turn::10]:
        entry = store[number]
        entry["mail"] = "y" * random.randrange(200)
        entry["seen %d" % number] = number * 7919
    time.sleep(0.1)
after = share("self") + share(child)
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
print("value %.2f" % (after - before))
