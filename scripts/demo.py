#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Migrates a running guest from one minivmm to another and shows the figures.

    demo.py PATH-OF-MINIVMM

The guest checks its memory all the time and rewrites some of it. The source is
told to migrate over QMP; its own figures and the guest's are asked for, on
both sides, and the demonstration fails unless the guest on either side has
checked its memory and found it right.
"""

import collections
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] /
                       "tests" / "support"))
import qmp

PAGE_SIZE = 4096
# All of it is looked at once a second, and every eighth page rewritten.
GUEST = ["--memory", "512M", "--vcpus", "2",
         "--workload", "random,rate=512M,write=12,zero=20"]
GUEST_WORDS = "2 vCPUs and 512 MiB of memory, of which it rewrites 64 MB/s"
LIMIT_SECONDS = 60

# One row of the table for each mode.
MODES = [
    {"mode": "precopy, tcp", "uri": "tcp:127.0.0.1:0",
     "says": "at most 134 MB/s",
     "capabilities": {}, "parameters": {"downtime-limit": 50}},
    {"mode": "precopy, unix", "uri": "unix:%s/migration",
     "says": "as fast as it goes",
     "capabilities": {},
     "parameters": {"max-bandwidth": 1 << 40, "downtime-limit": 50}},
]

COLUMNS = [("mode", 14), ("total", 8), ("downtime", 10), ("blackout", 10),
           ("bytes", 8), ("pages", 8), ("rounds", 7), ("verified", 14)]

LEGEND = """\
  blackout: how long the guest stood still at most, by its own clock
  verified: how often the guest has checked all of its memory and found it
            right, on the source + on the destination"""

MACHINES = {"minivmm-kvm": "A KVM guest",
            "minivmm-soft": "A guest of threads, for KVM cannot be used here"}


class Failed(Exception):
    """The demonstration ends here, for this reason."""


class Vmm:
    """One minivmm, its QMP socket and what it printed."""

    def __init__(self, program, folder, name, options):
        self.name = name
        self.log = os.path.join(folder, name + ".log")
        path = qmp.socket_path(folder, name + ".qmp")
        command = [program, *GUEST, "--qmp", "unix:" + path,
                   "--serial", os.path.join(folder, name + ".serial"),
                   *options]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self.qmp = qmp.Client(
                path, alive=lambda: self.process.poll() is None)
        except Exception as failure:
            self.kill()
            raise Failed("the %s does not start: %s" % (
                name, self.last_words() or failure)) from failure

    def last_words(self):
        with open(self.log, errors="replace") as log:
            return "; ".join(line.strip() for line in log.readlines()[-3:])

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def quit(self):
        try:
            self.qmp("quit")
        except qmp.Closed:
            pass
        try:
            self.process.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            raise Failed("the %s does not quit" % self.name) from None
        self.check_alive(expected=0)

    def check_alive(self, expected=None):
        """Whether it has ended although or as it should not."""
        status = self.process.poll()
        if status != expected:
            how = "with status %d" % status if status >= 0 else \
                "by signal %d" % -status
            raise Failed("the %s ended %s: %s" % (
                self.name, how, self.last_words() or "it said nothing"))

    def figures(self):
        info = self.qmp("query-migrate")
        if info.get("status") in ("failed", "cancelled"):
            raise Failed("%s: migration %s: %s" % (
                self.name, info["status"],
                info.get("error-desc", "no reason given")))
        return info

    def guest(self):
        """What the guest has to say; wrong memory ends it here."""
        guest = self.qmp("x-query-guest")
        if guest["errors"]:
            raise Failed("%s: the guest found %d wrong pages"
                         % (self.name, guest["errors"]))
        return guest

    def wait(self, what, condition):
        deadline = time.monotonic() + LIMIT_SECONDS
        while True:
            try:
                result = condition()
            except qmp.Closed:
                self.process.wait(LIMIT_SECONDS)
                self.check_alive()
                raise
            if result:
                return result
            if time.monotonic() > deadline:
                raise Failed("%s: not within %d s: %s"
                             % (self.name, LIMIT_SECONDS, what))
            time.sleep(0.01)

    def wait_passes(self, count):
        """Waits until the guest has been through its memory so often."""
        def reached():
            guest = self.guest()
            return guest if guest["passes"] >= count else None
        return self.wait("%d passes of the guest" % count, reached)


class Progress:
    """One line that changes where somebody looks on; elsewhere a line every
    half a second."""

    SPEED_SECONDS = 0.5

    def __init__(self):
        self.live = sys.stdout.isatty()
        self.interval = 0.05 if self.live else 0.5
        self.shown = time.monotonic()
        self.begun = self.shown
        self.samples = collections.deque([(self.shown, 0)])
        self.round = self.round_bytes = 0

    def take(self, ram, now):
        number = ram["dirty-sync-count"] + 1
        if number != self.round:
            self.round, self.round_bytes = number, 0
        self.round_bytes = max(self.round_bytes, ram["remaining"])
        self.samples.append((now, ram["transferred"]))
        while now - self.samples[1][0] >= self.SPEED_SECONDS:
            self.samples.popleft()

    def show(self, info):
        now = time.monotonic()
        ram = info.get("ram")
        if info.get("status") != "active" or not ram["remaining"]:
            return
        self.take(ram, now)
        if now - self.shown < self.interval:
            return
        self.shown = now
        then, sent = self.samples[0]
        speed = (ram["transferred"] - sent) / max(now - then, 1e-3)
        # How fast memory is dirtied shows when it is first collected.
        dirtied = "%.0f" % (ram["dirty-pages-rate"] * PAGE_SIZE / 1e6) \
            if self.round > 1 else "?"
        line = ("  round %d: %3.0f %% of %3.0f MB, %3.0f MB/s, "
                "dirty %3s MB/s, %3.0f MB remaining, %.1f s" % (
                    self.round,
                    100 * (1 - ram["remaining"] / self.round_bytes),
                    self.round_bytes / 1e6, speed / 1e6, dirtied,
                    ram["remaining"] / 1e6, now - self.begun))
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            print("\r" + line[:width] + "\033[K", end="", flush=True)
        else:
            print(line, flush=True)

    def end(self):
        if self.live:
            print("\r\033[K", end="", flush=True)


def prepare(vmm, mode):
    if mode["capabilities"]:
        vmm.qmp("migrate-set-capabilities", {"capabilities": [
            {"capability": name, "state": state}
            for name, state in mode["capabilities"].items()]})
    if mode["parameters"]:
        vmm.qmp("migrate-set-parameters", mode["parameters"])


def listen(vmm, uri):
    """Makes it wait there; the address, of which the kernel may have chosen
    the port."""
    vmm.qmp("migrate-incoming", {"uri": uri})
    if not uri.startswith("tcp:"):
        return uri
    address = vmm.wait("the port it listens at",
                       lambda: vmm.figures().get("socket-address"))
    return "tcp:%s:%s" % (address[0]["host"], address[0]["port"])


def say(words):
    print(words, flush=True)


def watch(source):
    """Shows how it goes until it is over; the last figures."""
    progress = Progress()

    def completed():
        info = source.figures()
        progress.show(info)
        return info if info.get("status") == "completed" else None
    try:
        return source.wait("migration completed", completed)
    finally:
        progress.end()


def migrate(program, folder, mode, vmms):
    """One row of the table."""
    destination = Vmm(program, folder, "destination", ["--incoming", "defer"])
    vmms.append(destination)
    source = Vmm(program, folder, "source", [])
    vmms.append(source)
    for vmm in vmms:
        prepare(vmm, mode)
    if mode is MODES[0]:
        say("%s:\n%s." % (MACHINES[source.guest()["machine"]], GUEST_WORDS))
    say("\n%s: from process %d to process %d, %s" % (
        mode["mode"], source.process.pid, destination.process.pid,
        mode["says"]))
    source.wait_passes(1)
    uri = listen(destination, mode["uri"].replace("%s", folder))
    source.qmp("migrate", {"uri": uri})
    info = watch(source)
    destination.wait("migration completed", lambda:
                     destination.figures().get("status") == "completed")

    before = source.guest()
    # One of them may have begun over there: two are sure to see each page here.
    after = destination.wait_passes(before["passes"] + 2)
    say("  done in %.2f s; the guest goes on at the destination"
        % (info["total-time"] / 1000))
    for vmm in (source, destination):
        vmm.quit()
    return row(mode, info, before, after)


def row(mode, info, before, after):
    ram = info["ram"]
    return [mode["mode"], "%.2f s" % (info["total-time"] / 1000),
            "%.1f ms" % (info["x-downtime-us"] / 1000),
            "%.1f ms" % (after["blackout-us"] / 1000),
            "%.0f MB" % (ram["transferred"] / 1e6),
            str(ram["normal"] + ram["duplicate"]),
            str(ram["dirty-sync-count"]),
            "%d + %d passes" % (before["passes"],
                                after["passes"] - before["passes"])]


def print_table(rows):
    def line(cells):
        print("  " + "".join("%-*s" % (width, cell) for cell, (_, width)
                             in zip(cells, COLUMNS)).rstrip())
    print()
    line([title for title, _ in COLUMNS])
    line(["-" * (width - 2) for _, width in COLUMNS])
    for cells in rows:
        line(cells)
    print("\n" + LEGEND)


def run(program, mode):
    """In a folder of its own, which nothing outlives."""
    vmms = []
    with tempfile.TemporaryDirectory(prefix="vmmigrate-demo-") as folder:
        try:
            return migrate(program, folder, mode, vmms)
        finally:
            for vmm in vmms:
                vmm.kill()


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    # Whoever ends this ends what it started as well.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        rows = [run(sys.argv[1], mode) for mode in MODES]
    except (Failed, qmp.Error, qmp.Closed, OSError) as failure:
        print("demo: %s" % failure, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130
    print_table(rows)
    return 0


sys.exit(main())
