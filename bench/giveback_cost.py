#!/usr/bin/python3
"""What giving memory back costs programs that are busy: CPU time as brkmap is and with giving back switched off, in turn.

    python3 bench/giveback_cost.py LIBRARY [ROUNDS]

LIBRARY is what `brkmap lib-path` prints. User and system time of the whole process; minima, medians and their ratios.
"""
import os
import sys
from statistics import median

INPUTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "inputs")
PROGRAMS = {
    "python3": (["/usr/bin/python3", "objects.py"], {"PYTHONMALLOC": "malloc"}),
    "lua": (["lua5.4", "objects.lua"], {}),
    "perl": (["perl", "objects.pl"], {}),
}
OFF = "background:off,purge_delay_ms:3600000,pressure:off"


def cpu_time(command, environment):
    pid = os.fork()
    if pid == 0:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        os.chdir(INPUTS)
        os.dup2(os.open("/dev/null", os.O_WRONLY), 1)
        os.execvpe(command[0], command, environment)
    _, status, usage = os.wait4(pid, 0)
    if status:
        sys.exit(f"{command[0]} ended with status {status}")
    return usage.ru_utime + usage.ru_stime


def main():
    library, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 24
    for name, (command, more) in PROGRAMS.items():
        base = dict(os.environ, LD_PRELOAD=library, **more)
        ways = {"on": dict(base), "off": dict(base, BRKMAP_CONF=OFF)}
        times = {way: [] for way in ways}
        for number in range(rounds):
            for way in sorted(ways, reverse=number % 2 == 1):
                times[way].append(cpu_time(command, ways[way]))
        (least, middle), (least_off, middle_off) = ((min(times[w]), median(times[w])) for w in ("on", "off"))
        print(f"{name:8} on {least:.3f} s min {middle:.3f} median   off {least_off:.3f} {middle_off:.3f}"
              f"   ratio {least / least_off:.3f} {middle / middle_off:.3f}", flush=True)


main()
