#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Migrates a running guest from one minivmm to another and shows the figures.

    demo.py PATH-OF-MINIVMM

The guest rewrites and checks its memory all the time. The source is told to
migrate over QMP; its own figures and the guest's are asked for, on both
sides, and the demonstration fails unless the guest on either side has checked
its memory and found it right.
"""

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

MIB = 1 << 20
PAGE_SIZE = 4096
GUEST = ["--memory", "1G", "--vcpus", "2",
         "--workload", "random,rate=150M,zero=20"]
LIMIT_SECONDS = 60

# One row of the table for each mode.
MODES = [
    {"mode": "precopy, tcp", "capabilities": {}, "parameters": {}},
]

COLUMNS = [("mode", 14), ("total", 10), ("downtime", 10), ("blackout", 10),
           ("sent", 10), ("pages", 9), ("rounds", 7),
           ("verified by the guest", 22)]


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
            raise Failed("the %s does not start: %s" % (name, failure)) \
                from failure

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
            status = self.process.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            raise Failed("the %s does not quit" % self.name) from None
        if status != 0:
            raise Failed("the %s ended with status %d" % (self.name, status))

    def figures(self):
        info = self.qmp("query-migrate")
        if info.get("status") in ("failed", "cancelled"):
            raise Failed("%s: migration %s: %s" % (
                self.name, info["status"],
                info.get("error-desc", "no reason given")))
        return info

    def wait(self, what, condition):
        deadline = time.monotonic() + LIMIT_SECONDS
        while True:
            result = condition()
            if result:
                return result
            if self.process.poll() is not None:
                raise Failed("the %s ended with status %d" % (
                    self.name, self.process.returncode))
            if time.monotonic() > deadline:
                raise Failed("%s: not within %d s: %s"
                             % (self.name, LIMIT_SECONDS, what))
            time.sleep(0.02)

    def wait_passes(self, count):
        """Waits until the guest has been through its memory so often."""
        def reached():
            guest = self.qmp("x-query-guest")
            return guest if guest["passes"] >= count else None
        return self.wait("%d passes of the guest" % count, reached)


class Progress:
    """One line that changes where somebody looks on, else a few lines."""

    def __init__(self):
        self.live = sys.stdout.isatty()
        self.interval = 0.05 if self.live else 0.5
        self.begun = self.shown = time.monotonic()
        self.sent = 0

    def show(self, info):
        now = time.monotonic()
        ram = info.get("ram")
        if not ram or now - self.shown < self.interval:
            return
        speed = (ram["transferred"] - self.sent) / (now - self.shown)
        self.shown, self.sent = now, ram["transferred"]
        done = 1 - ram["remaining"] / ram["total"] if ram["total"] else 1
        line = ("  %5.1f %%   round %-3d %7.0f MB/s   dirtied %6.0f MB/s   "
                "remaining %6.0f MB   %4.1f s" % (
                    100 * done, ram["dirty-sync-count"], speed / 1e6,
                    ram.get("dirty-pages-rate", 0) * PAGE_SIZE / 1e6,
                    ram["remaining"] / 1e6, now - self.begun))
        print("\r" + line if self.live else line,
              end="" if self.live else "\n", flush=True)

    def end(self):
        if self.live:
            print("\r" + " " * 90 + "\r", end="", flush=True)


def prepare(vmm, mode):
    if mode["capabilities"]:
        vmm.qmp("migrate-set-capabilities", {"capabilities": [
            {"capability": name, "state": state}
            for name, state in mode["capabilities"].items()]})
    if mode["parameters"]:
        vmm.qmp("migrate-set-parameters", mode["parameters"])


def listen(vmm):
    """Makes it wait on loopback, at a port that the kernel chooses."""
    vmm.qmp("migrate-incoming", {"uri": "tcp:127.0.0.1:0"})
    address = vmm.wait("the port it listens at",
                       lambda: vmm.figures().get("socket-address"))
    return "tcp:127.0.0.1:%s" % address[0]["port"]


def verify(vmm, guest):
    """Only what the guest itself has looked at counts."""
    if guest["errors"]:
        raise Failed("%s: the guest found %d wrong pages"
                     % (vmm.name, guest["errors"]))
    if guest["passes"] <= 0 or guest["pages-checked"] <= 0:
        raise Failed("%s: the guest has checked nothing" % vmm.name)


def migrate(program, folder, mode):
    """One row of the table."""
    vmms = []
    try:
        destination = Vmm(program, folder, "destination",
                          ["--incoming", "defer"])
        vmms.append(destination)
        source = Vmm(program, folder, "source", [])
        vmms.append(source)
        for vmm in vmms:
            prepare(vmm, mode)
        source.wait_passes(1)
        print("%s: the guest runs in process %d and is told to move to "
              "process %d" % (mode["mode"], source.process.pid,
                              destination.process.pid), flush=True)
        source.qmp("migrate", {"uri": listen(destination)})
        progress = Progress()

        def completed():
            info = source.figures()
            progress.show(info)
            return info if info.get("status") == "completed" else None
        info = source.wait("migration completed", completed)
        progress.end()
        destination.wait("migration completed", lambda:
                         destination.figures().get("status") == "completed")

        before = source.qmp("x-query-guest")
        after = destination.wait_passes(before["passes"] + 1)
        verify(source, before)
        verify(destination, after)
        for vmm in (source, destination):
            vmm.quit()
        return row(mode, info, before, after)
    except Exception:
        for vmm in vmms:
            tell_end(vmm)
        raise
    finally:
        for vmm in vmms:
            vmm.kill()


def row(mode, info, before, after):
    ram = info["ram"]
    return [mode["mode"], "%.0f ms" % info["total-time"],
            "%.1f ms" % info["downtime"],
            "%.1f ms" % (after["blackout-us"] / 1000),
            "%.0f MB" % (ram["transferred"] / 1e6),
            str(ram["normal"] + ram["duplicate"]),
            str(ram["dirty-sync-count"]),
            "%d + %d passes" % (before["passes"],
                                after["passes"] - before["passes"])]


def tell_end(vmm):
    with open(vmm.log, errors="replace") as log:
        lines = log.readlines()[-10:]
    if lines:
        print("the %s said:" % vmm.name, file=sys.stderr)
        sys.stderr.writelines("    " + line for line in lines)


def print_table(rows):
    def line(cells):
        print("  " + "".join("%-*s" % (width, cell) for cell, (_, width)
                             in zip(cells, COLUMNS)).rstrip())
    print()
    line([title for title, _ in COLUMNS])
    line(["-" * (width - 2) for _, width in COLUMNS])
    for cells in rows:
        line(cells)
    print()


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    folder = tempfile.mkdtemp(prefix="vmmigrate-demo-")
    try:
        print_table([migrate(sys.argv[1], folder, mode) for mode in MODES])
        return 0
    except (Failed, qmp.Error, qmp.Closed, OSError) as failure:
        print("demo: %s" % failure, file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


sys.exit(main())
