#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How fast precopy is, next to a real QEMU and to what the machine can do.

    tests/bench/precopy.py [--pairs N] [--only ROW] [--prealloc] [--json FILE]

Each row is a memory and a transport. Ours and QEMU's runs alternate, A B A B;
the ratio is the median of the ratios of neighbours. A run is timed by this
driver, from the `migrate` command to the destination's word `completed`, with
the memory of both sides touched immediately before: a host takes free pages
back within seconds, and the first touch would be what is measured. The limits
are measured in the same run. The figures of one machine say nothing about
another's; the ratios do.
"""

import argparse
import json
import mmap
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import memory
import peers
from memory import MIB

# name, content, size in MiB, transport, which limit stands beside it
ROWS = [
    ("tcp random", "random", 2048, "tcp", "tcp"),
    ("tcp zero", "zero", 4096, "tcp", "read"),
    ("tcp half zero", "mixed", 1024, "tcp", "tcp"),
    ("unix random", "random", 2048, "unix", "unix"),
]
MAX_BANDWIDTH = 1 << 40
SECONDS = 120


def touch(path):
    """Makes every page of the file resident, in content unchanged."""
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as pages:
        for offset in range(0, len(pages), memory.PAGE_SIZE):
            pages[offset] = pages[offset]


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def one_run(flavour, folder, files, size, transport, prealloc):
    """Seconds from the command to the destination's `completed`, and the CPU
    seconds that source and destination used for it."""
    uri = {"tcp": "tcp:127.0.0.1:0",
           "unix": "unix:" + folder.path("migrate.sock")}[transport]
    options = {"prealloc": True} if prealloc and flavour.is_qemu else {}
    with flavour.start(folder, "source", files[0], size,
                       **options) as source, \
            flavour.start(folder, "destination", files[1], size,
                          incoming=True, **options) as destination:
        for side in (source, destination):
            side.set_capabilities(events=True, return_path=True)
        source.set_parameters(max_bandwidth=MAX_BANDWIDTH)
        address = destination.listen(uri)
        for path in files:
            touch(path)
        before = [cpu_seconds(side.process.pid)
                  for side in (source, destination)]
        begun = time.monotonic()
        source.migrate(address)
        while destination.qmp.wait_event(
                "MIGRATION", SECONDS)["data"]["status"] != "completed":
            pass
        seconds = time.monotonic() - begun
        source.wait_migration("completed")
        used = [cpu_seconds(side.process.pid) - spent for side, spent in
                zip((source, destination), before)]
        for side in (source, destination):
            side.quit()
    return seconds, used


def limits():
    program = os.path.join(peers.top_builddir, "tests/bench/limits")
    lines = subprocess.run([program], check=True, stdout=subprocess.PIPE,
                           text=True).stdout.split("\n")
    return {name: float(rate)
            for name, rate in (line.split() for line in lines if line)}


def measure(row, ours, qemu, count, prealloc):
    _, content, mebibytes, transport, _ = row
    size = mebibytes * MIB
    runs = {ours: [], qemu: []}
    with peers.Folder(3 * size) as folder:
        files = [folder.path("source.ram"), folder.path("destination.ram")]
        memory.make(files[0], size, content)
        memory.make_empty(files[1], size)
        if content == "zero":
            for path in files:
                with open(path, "r+b") as file:
                    for _ in range(mebibytes):
                        file.write(bytes(MIB))
        for _ in range(count):
            for flavour in (ours, qemu):
                runs[flavour].append(
                    one_run(flavour, folder, files, size, transport,
                            prealloc))
        memory.assert_equal(files[0], files[1])
    return runs


def summary(row, runs, ours, qemu, ceiling):
    name, _, mebibytes, _, limit = row
    gigabytes = mebibytes * MIB / 1e9
    rate = {flavour: [gigabytes / seconds for seconds, _ in runs[flavour]]
            for flavour in runs}
    cpu = {flavour: statistics.median(
        sum(used) / gigabytes for _, used in runs[flavour])
        for flavour in runs}
    ratios = [theirs[0] / own[0]
              for own, theirs in zip(runs[ours], runs[qemu])]
    return {
        "row": name, "pairs": len(ratios),
        "ours": statistics.median(rate[ours]), "ours-best": max(rate[ours]),
        "qemu": statistics.median(rate[qemu]), "qemu-best": max(rate[qemu]),
        "ratio": statistics.median(ratios), "ratio-low": min(ratios),
        "ratio-high": max(ratios),
        "limit": ceiling[limit] / 1e9, "limit-name": limit,
        "ours-cpu": cpu[ours], "qemu-cpu": cpu[qemu],
    }


def show(line):
    print("%-14s %5.2f (best %5.2f)  %5.2f (best %5.2f)  %4.2f (%4.2f-%4.2f)"
          "  %5.2f %-5s %5.2f %5.2f" % (
              line["row"], line["ours"], line["ours-best"], line["qemu"],
              line["qemu-best"], line["ratio"], line["ratio-low"],
              line["ratio-high"], line["limit"], line["limit-name"],
              line["ours-cpu"], line["qemu-cpu"]), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--only", help="a row by its name")
    parser.add_argument("--qemu", default="newest",
                        help="newest, oldest, or a program")
    parser.add_argument("--prealloc", action="store_true",
                        help="let QEMU map its memory when it starts, which "
                        "minivmm does anyway")
    parser.add_argument("--json", help="write the figures here too")
    arguments = parser.parse_args()
    if arguments.qemu not in ("newest", "oldest"):
        os.environ["VMMIG_TEST_QEMU"] = arguments.qemu
    found, reasons = peers.qemus()
    for name, why in reasons:
        print("%s: %s" % (name, why), file=sys.stderr)
    if not found:
        sys.exit("no QEMU to compare with")
    ours = peers.minivmm()
    qemu = found[0 if arguments.qemu == "oldest" else -1]
    lines = []
    print("GB/s; CPU seconds of both sides for each GB; %d pairs" %
          arguments.pairs)
    print("%-14s %-18s  %-18s  %-16s  %-11s %s" % (
        "", ours, qemu, "ratio (range)", "limit", "CPU ours, theirs"))
    for row in ROWS:
        if arguments.only and row[0] != arguments.only:
            continue
        ceiling = limits()
        lines.append(summary(
            row, measure(row, ours, qemu, arguments.pairs,
                         arguments.prealloc), ours, qemu, ceiling))
        show(lines[-1])
    if not lines:
        sys.exit("there is no row %r" % arguments.only)
    if arguments.json:
        with open(arguments.json, "w", encoding="ascii") as file:
            json.dump(lines, file, indent=1)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
