#!/usr/bin/python3
"""What watching system calls costs: programs alone, under `brkmap run` and under `brkmap run --syscalls`, interleaved.

    python3 bench/syscalls_cost.py BRKMAP [ROUNDS] [NAME…]

First the price of a call: a program that does nothing but mmap and munmap, or getppid, which is not watched; CPU time per
call, minimum of the rounds. Then real programs: medians of wall and CPU time (user + system, brkmap's own included), and of
the ratios to the run of the program alone in the same round. Times of one and the same program differ by 10 % from run to run,
and least times by 3 % from series to series: the standard error behind "±" says how far a ratio may be off.
Exit status 1 if a ratio of wall or CPU with --syscalls is above 1.05.
"""
import os
import subprocess
import sys
import tempfile
import time
from math import log
from statistics import median, stdev

BOUND = 1.05
HERE = os.path.dirname(os.path.abspath(__file__))


def repository(folder):
    """A repository of 1000 commits over 200 files, the same every time."""
    path = os.path.join(folder, "repository.git")
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", path], check=True)
    text = {f"folder{i % 10}/file{i}.txt": [f"line {j} of file {i}" for j in range(200)] for i in range(200)}
    lines = []
    for commit in range(1000):
        lines += ["commit refs/heads/main", f"committer A <a@example.org> {1_600_000_000 + commit} +0000", "data 1", "c"]
        for step in range(20 if commit else 200):
            name = sorted(text)[(commit * 37 + step * 11) % 200] if commit else sorted(text)[step]
            body = text[name]
            body[(commit * 13 + step) % 200] = f"line changed by commit {commit} in step {step}"
            data = "\n".join(body) + "\n"
            lines += [f"M 100644 inline {name}", f"data {len(data)}", data]
        lines.append("")
    subprocess.run(["git", "-C", path, "fast-import", "--quiet"], input="\n".join(lines).encode(), check=True)
    return path


def run(command):
    """Wall and CPU seconds."""
    begin = time.monotonic()
    child = os.posix_spawn(command[0], command, os.environ, file_actions=[
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0), (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0)])
    _, status, usage = os.wait4(child, 0)
    if status != 0:
        sys.exit(f"{command} ended with status {status}")
    return time.monotonic() - begin, usage.ru_utime + usage.ru_stime


SOURCE = """
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
int main(int count, char **words)
{
    for (int i = 0; i < atoi(words[1]); i++) {
        if (count > 2) getppid(), getppid();
        else munmap(mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 65536);
    }
}
"""
PAIRS = 10000


def price(brkmap, folder, rounds):
    """Prints microseconds of CPU for each call."""
    source, program = os.path.join(folder, "calls.c"), os.path.join(folder, "calls")
    with open(source, "w") as file:
        file.write(SOURCE)
    subprocess.run(["cc", "-O1", "-w", "-o", program, source], check=True)
    strace = ["/usr/bin/strace", "-f", "--seccomp-bpf", "-e", "trace=mmap,munmap", "-o", "/dev/null"]
    ways = {
        "alone": [],
        "brkmap syscalls": [brkmap, "syscalls", "--"],
        "brkmap syscalls --no-stacks": [brkmap, "syscalls", "--no-stacks", "--"],
        "brkmap syscalls --every-call": [brkmap, "syscalls", "--every-call", "--"],
        "brkmap run --syscalls": [brkmap, "run", "--syscalls", "--alloc", "system", "--"],
        "strace --seccomp-bpf": strace,
    }
    times = {way: ([], []) for way in ways}
    for _ in range(rounds):
        for way, front in ways.items():
            for kind, extra in enumerate([[], ["other"]]):
                times[way][kind].append(run(front + [program, str(PAIRS)] + extra)[1])
    # Stacks by strace take so long that once, and fewer, have to do.
    fewer = PAIRS // 20
    slow = run(strace + ["-k", program, str(fewer)])[1] / fewer
    print(f"{'CPU microseconds for each call':32}{'mmap, munmap':>14}{'getppid':>9}")
    for way, (watched, other) in times.items():
        print(f"{way:32}{min(watched) / PAIRS / 2 * 1e6:14.2f}{min(other) / PAIRS / 2 * 1e6:9.2f}")
    print(f"{'strace --seccomp-bpf -k':32}{slow / 2 * 1e6:14.2f}")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    brkmap = os.path.abspath(sys.argv[1])
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 9
    wanted = sys.argv[3:]
    with tempfile.TemporaryDirectory() as folder:
        path = repository(folder)
        report = os.path.join(folder, "report")
        # The benchmark's own program, at a length at which start and end do not decide.
        script = os.path.join(folder, "objects.py")
        with open(os.path.join(HERE, "inputs/objects.py")) as source, open(script, "w") as copy:
            copy.write(source.read().replace("for turn in range(3)", "for turn in range(10)"))
        programs = {
            "python3 objects.py": ["/usr/bin/python3", script],
            "git log --stat -p": ["/usr/bin/git", "-C", path, "log", "--stat", "-p"],
            "git fsck --full": ["/usr/bin/git", "-C", path, "fsck", "--full"],
        }
        is_above = False
        if not wanted or "price" in wanted:
            price(brkmap, folder, rounds)
        print(f"{rounds} rounds, interleaved; seconds")
        print(f"{'':20}{'':14}{'wall':>7}{'ratio':>8}{'':8}{'CPU':>7}{'ratio':>8}")
        for name, command in programs.items():
            if wanted and not any(word in name for word in wanted):
                continue
            under = [brkmap, "run", "--alloc", "system", "-o", report, "--force"]
            ways = {"alone": command, "run": under + ["--"] + command, "run --syscalls": under + ["--syscalls", "--"] + command}
            times = {way: [] for way in ways}
            run(command)
            for _ in range(rounds):
                for way, line in ways.items():
                    times[way].append(run(line))
            for way in ways:
                line = f"{name if way == 'alone' else '':20}{way:14}"
                for kind in range(2):
                    ratios = [now[kind] / alone[kind] for now, alone in zip(times[way], times["alone"])]
                    ratio = median(ratios)
                    line += f"{median(time[kind] for time in times[way]):7.3f}{ratio:8.3f}"
                    line += f" ±{stdev(map(log, ratios)) / rounds ** 0.5:.3f} " if way != "alone" else " " * 8
                    is_above |= way == "run --syscalls" and ratio > BOUND
                print(line.rstrip(), flush=True)
        sys.exit(1 if is_above else 0)


main()
