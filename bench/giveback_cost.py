#!/usr/bin/python3
"""What giving memory back costs programs that are busy: CPU time as brkmap is and with giving back switched off, in turn.

    python3 bench/giveback_cost.py LIBRARY [ROUNDS]

LIBRARY is what `brkmap lib-path` prints. User and system time of the whole process. Single runs differ by 10 % and more, so
the answer is in the ratios of pairs, of two runs that follow each other: their median, their geometric mean, and how far that
may be off (standard error). A hundred rounds bring the error below half a percent on a quiet machine.
"""
import os
import sys
from math import exp, log
from statistics import mean, median, stdev

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
    library = os.path.abspath(library)
    for name, (command, more) in PROGRAMS.items():
        base = dict(os.environ, LD_PRELOAD=library, **more)
        ways = {"on": dict(base), "off": dict(base, BRKMAP_CONF=OFF)}
        times = {way: [] for way in ways}
        for number in range(rounds):
            for way in sorted(ways, reverse=number % 2 == 1):
                times[way].append(cpu_time(command, ways[way]))
        ratios = [log(on / off) for on, off in zip(times["on"], times["off"])]
        print(f"{name:8} on {median(times['on']):.3f} s   off {median(times['off']):.3f} s   ratio of pairs: median"
              f" {exp(median(ratios)):.3f}, mean {exp(mean(ratios)):.3f} ± {stdev(ratios) / len(ratios) ** 0.5:.3f}", flush=True)


main()
