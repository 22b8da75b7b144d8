# SPDX-License-Identifier: LGPL-2.1-or-later
"""The two sides of a migration as processes: QEMUs and our own mini-VMM.

Whatever can be one side is a Flavour; flavours() finds those this machine
has. A Machine is a running one, driven over QMP in the same way whichever it
is. Guest memory is a file that the test can read and write.

All of it is used from the main thread only, and what is spawned there dies
with the test, however that ends.
"""

import ctypes
import itertools
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import qmp
import qtest
import tap

FINAL = ("completed", "failed", "cancelled")
MIGRATION_SECONDS = 60

top_srcdir = os.environ.get("top_srcdir") or os.path.abspath(
    os.path.join(os.path.dirname(__file__), "..", ".."))
top_builddir = os.environ.get("top_builddir") or os.path.join(
    top_srcdir, "build")

_libc = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def spawn(command, log, descriptors=()):
    """Runs command with both its outputs in the file named log."""
    with open(log, "ab") as output:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                stdout=output, stderr=output,
                                pass_fds=descriptors,
                                preexec_fn=_die_with_parent)


def last_lines(path, count=8):
    try:
        with open(path, errors="replace") as log:
            return "".join(log.readlines()[-count:]).strip()
    except FileNotFoundError:
        return ""


class Folder(tempfile.TemporaryDirectory):
    """A folder for memory files and sockets, in memory where it fits."""

    def __init__(self, size):
        place = "/dev/shm"
        if not os.access(place, os.W_OK) or \
                shutil.disk_usage(place).free < size + (size >> 2):
            place = None
        super().__init__(prefix="vmmigrate-", dir=place)
        if shutil.disk_usage(self.name).free < size:
            self.cleanup()
            raise tap.Skip("not enough room for %d MiB" % (size >> 20))

    def __enter__(self):
        return self

    def path(self, name):
        return os.path.join(self.name, name)


class Flavour:
    """One program that can be a side. For minivmm the version is None."""

    def __init__(self, program, version=None):
        self.program, self.version = program, version
        self.is_qemu = version is not None
        self.name = "qemu-%d.%d" % version[:2] if version else "minivmm"

    def __str__(self):
        return self.name

    def has_file_transport(self):
        return not self.is_qemu or self.version >= (8, 2)

    @property
    def preset(self):
        """The value of our option `peer` that means this QEMU."""
        for since, name in (((11, 0), "qemu-11"), ((10, 0), "qemu-10"),
                            ((9, 0), "qemu-9"), ((8, 1), "qemu-8.1"),
                            ((8, 0), "qemu-8.0")):
            if self.version >= since:
                return name
        return "qemu-7.2"

    def globals_towards(self, destination):
        """What a QEMU source must be told so that another understands it: on
        the wire nothing negotiates."""
        if self.is_qemu and destination.is_qemu and \
                self.version >= (10, 0) > destination.version:
            return ["migration.send-switchover-start=off"]
        return []

    def start(self, folder, name, memory, size, **options):
        kind = Qemu if self.is_qemu else MiniVmm
        return kind(self, folder, name, memory, size, **options)


def _qemu_version(program):
    try:
        banner = subprocess.run([program, "--version"], check=True,
                                stdout=subprocess.PIPE, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(rb"version (\d+)\.(\d+)\.(\d+)", banner)
    return tuple(int(part) for part in match.groups()) if match else None


def qemus():
    """(flavours, reasons): the QEMUs to test with, oldest first, and why one
    that should be there is not. VMMIG_TEST_QEMU, programs separated by colons,
    takes the place of those that are looked for."""
    reasons = []
    if os.environ.get("VMMIG_TEST_QEMU"):
        programs = os.environ["VMMIG_TEST_QEMU"].split(":")
    else:
        programs = []
        distribution = shutil.which("qemu-system-x86_64")
        if distribution:
            programs.append(distribution)
        else:
            reasons.append(("qemu-distribution",
                            "no qemu-system-x86_64 in PATH"))
        fetched = subprocess.run(
            [os.path.join(top_srcdir, "scripts", "fetch-qemu"), "--cached"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30,
            text=True, check=False)
        if fetched.returncode == 0:
            programs.append(fetched.stdout.strip())
        else:
            reasons.append(("qemu-current", fetched.stderr.strip()))
    found = {}
    for program in programs:
        version = _qemu_version(program)
        if version:
            found[version] = Flavour(program, version)
        else:
            reasons.append((os.path.basename(program),
                            "%s does not run" % program))
    return [found[version] for version in sorted(found)], reasons


def minivmm():
    """Our own side; missing is an error, for it is what the test is about."""
    program = os.path.join(top_builddir, "minivmm")
    if not os.access(program, os.X_OK):
        raise FileNotFoundError("%s is not built" % program)
    return Flavour(program)


class Machine:
    """A running side. Leaving its context kills it if it still runs."""

    _numbers = itertools.count()

    def __init__(self, flavour, folder, name, memory, size):
        self.flavour, self.memory, self.size = flavour, memory, size
        self.name = "%s %s" % (name, flavour)
        self._stem = os.path.join(folder.name,
                                  "%s%d" % (name, next(self._numbers)))
        self.log = self._stem + ".log"
        self.qmp_path = qmp.socket_path(folder.name,
                                        os.path.basename(self._stem) + ".qmp")
        self.process = self.qmp = self.qtest = None

    def _launch(self, command, descriptors=()):
        self.process = spawn(command, self.log, descriptors)
        try:
            self.qmp = qmp.Client(self.qmp_path,
                                  alive=lambda: self.process.poll() is None)
        except Exception as failure:
            self.kill()
            raise AssertionError("%s does not start: %s\n%s" % (
                self.name, " ".join(command), last_lines(self.log))) \
                from failure

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        for connection in (self.qmp, self.qtest):
            if connection:
                connection.close()
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def said(self):
        return last_lines(self.log)

    def set_capabilities(self, **capabilities):
        self.qmp("migrate-set-capabilities", {"capabilities": [
            {"capability": name.replace("_", "-"), "state": state}
            for name, state in capabilities.items()]})

    def set_parameters(self, **parameters):
        self.qmp("migrate-set-parameters", {
            name.replace("_", "-"): value
            for name, value in parameters.items()})

    def listen(self, uri="tcp:127.0.0.1:0"):
        """Waits for a migration at uri; returns where a source finds it."""
        self.qmp("migrate-incoming", {"uri": uri})
        if not uri.endswith(":0"):
            return uri
        address = tap.wait_until(
            lambda: self.info().get("socket-address"), 10,
            "%s tells the port it listens at" % self.name)
        host = address[0]["host"]
        return "tcp:%s:%s" % ("[%s]" % host if ":" in host else host,
                              address[0]["port"])

    def take_descriptor(self, descriptor):
        """Makes it theirs as well; the address under which it is known."""
        return "fd:%d" % descriptor

    def migrate(self, uri):
        self.qmp("migrate", {"uri": uri})

    def info(self):
        return self.qmp("query-migrate")

    def run_state(self):
        return self.qmp("query-status")["status"]

    def wait_migration(self, *wanted, seconds=MIGRATION_SECONDS):
        """Waits until the status is one of wanted; fails at once when it is
        another one that will not change any more."""
        def arrived():
            info = self.info()
            status = info.get("status")
            if status in wanted:
                return info
            if status in FINAL:
                raise AssertionError("%s: %s instead of %s: %s\n%s" % (
                    self.name, status, "/".join(wanted),
                    info.get("error-desc", "no reason given"), self.said()))
            return None
        try:
            return tap.wait_until(arrived, seconds, "%s: migration %s" % (
                self.name, "/".join(wanted)))
        except (qmp.Closed, tap.Late) as failure:
            raise AssertionError("%s: %s\n%s" % (
                self.name, failure, self.said())) from failure

    def wait_rounds(self, count, meanwhile=None, seconds=MIGRATION_SECONDS):
        """Waits until dirty memory has been collected so many times, or until
        the source stops for it in pre-switchover; calls meanwhile() over and
        over. Returns the number of rounds."""
        deadline = time.monotonic() + seconds
        while True:
            info = self.info()
            rounds = info.get("ram", {}).get("dirty-sync-count", 0)
            if rounds >= count or info.get("status") == "pre-switchover":
                return rounds
            if info.get("status") in FINAL:
                raise AssertionError("%s: %s after %d rounds: %s\n%s" % (
                    self.name, info["status"], rounds,
                    info.get("error-desc", ""), self.said()))
            if time.monotonic() > deadline:
                raise tap.Late("%s: only %d rounds" % (self.name, rounds))
            if meanwhile:
                meanwhile()
            else:
                time.sleep(0.005)

    def wait_exit(self, seconds=10):
        """The exit status, once the process has ended by itself."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError("%s does not end\n%s" % (
                self.name, self.said())) from None

    def quit(self):
        try:
            self.qmp("quit")
        except qmp.Closed:
            pass
        status = self.wait_exit()
        if status != 0:
            raise AssertionError("%s: exit status %d\n%s" % (
                self.name, status, self.said()))


class Qemu(Machine):
    """`-M none` with one memory block, `mem`; no device but what that has.

    writable: with a CPU that never runs, so that qtest can write the memory.
    """

    def __init__(self, flavour, folder, name, memory, size, *, incoming=False,
                 writable=False, paused=False, uuid=None, ram_id="mem",
                 properties=(), prealloc=False):
        super().__init__(flavour, folder, name, memory, size)
        command = [
            flavour.program, "-nodefaults", "-no-user-config",
            "-display", "none", "-monitor", "none", "-serial", "none",
            "-M", "none,memory-backend=" + ram_id,
            "-object", "memory-backend-file,id=%s,share=on,size=%d,"
            "mem-path=%s,prealloc=%s" % (
                ram_id, size, memory, "on" if prealloc else "off"),
            "-qmp", "unix:%s,server=on,wait=off" % self.qmp_path]
        for setting in properties:
            command += ["-global", setting]
        if incoming:
            command += ["-incoming", "defer"]
        if paused or writable:
            command += ["-S"]
        if uuid:
            command += ["-uuid", uuid]
        if writable:
            command += ["-cpu", "qemu64,apic-id=0"]
        if writable and not incoming:
            command += ["-qtest", "unix:%s.qtest,server=on,wait=off"
                        % self._stem, "-qtest-log", "none"]
        self._launch(command)
        if writable and not incoming:
            self.qtest = qtest.Client(self._stem + ".qtest")

    def take_descriptor(self, descriptor):
        self.qmp("getfd", {"fdname": "migration"}, descriptor=descriptor)
        return "fd:migration"


class MiniVmm(Machine):
    """`--machine none`, which has the same sections as QEMU's `-M none`.

    descriptors: what it inherits, for take_descriptor.
    """

    def __init__(self, flavour, folder, name, memory, size, *, incoming=False,
                 machine="none", workload=None, paused=False, uuid=None,
                 ram_id="mem", opaque=(), options=(), descriptors=()):
        super().__init__(flavour, folder, name, memory, size)
        command = [flavour.program, "--machine", machine,
                   "--memory", str(size), "--ram-file", memory,
                   "--ram-id", ram_id, "--serial", "none",
                   "--qmp", "unix:" + self.qmp_path]
        if incoming:
            command += ["--incoming", "defer"]
        if paused:
            command += ["--paused"]
        if uuid:
            command += ["--uuid", uuid]
        if workload:
            command += ["--workload", workload]
        for section in opaque:
            command += ["--opaque", section]
        for option in options:
            command += ["--set", option]
        self._launch(command, descriptors)
