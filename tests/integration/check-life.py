#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How minivmm begins and ends by itself: exit status, signals, memory files,
and what a person at a terminal sees."""

import mmap
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import guests
import peers
import tap

MIB = guests.MIB
UUIDS = ("550e8400-e29b-41d4-a716-446655440000",
         "550e8400-e29b-41d4-a716-446655440001")


def run(*arguments, **settings):
    return subprocess.run(
        [peers.minivmm().program, "--machine", "soft", "--memory", "16M",
         "--serial", "none", *arguments], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30, text=True,
        check=False, **settings)


def leaves_by_itself(folder):
    """--migrate, and the other side takes it from there."""
    stored = folder.path("stored")
    ended = run("--migrate", "file:%s,after=100" % stored, "--progress")
    assert ended.returncode == 0, ended.stderr
    assert not ended.stdout, ended.stdout
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("completed:") and "downtime" in last, ended.stderr
    with guests.Guest(folder, "reader", machine="soft", memory=16, vcpus=1,
                      arguments=["--incoming", "file:" + stored]) as guest:
        guest.wait_migration("completed")
        guest.check_runs()
        guest.quit()


def tells_how_it_goes(folder):
    ended = run("--migrate", "file:%s,after=300" % folder.path("slow"),
                "--progress", "--workload", "idle",
                "--set", "max-bandwidth=16M", "--set", "downtime-limit=1")
    assert ended.returncode == 0, ended.stderr
    lines = ended.stderr.splitlines()
    assert len(lines) >= 3, lines
    for words in ("%", "round", "MB/s", "dirty", "remaining"):
        assert words in lines[0], lines[0]


def failure_is_exit_1(folder):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    ended = run("--migrate", "tcp:127.0.0.1:%d" % port)
    assert ended.returncode == 1, ended.returncode
    assert ended.stderr.count("\n") == 1 and "refused" in ended.stderr, \
        ended.stderr
    ended = run("--migrate", "file:/nowhere/stored")
    assert ended.returncode == 1 and "/nowhere/stored" in ended.stderr, \
        ended.stderr


def bad_arrival_is_exit_1(folder):
    stored = folder.path("rubbish")
    with open(stored, "wb") as rubbish:
        rubbish.write(b"this is no guest")
    ended = run("--incoming", "file:" + stored)
    assert ended.returncode == 1, ended.returncode
    assert ended.stderr.count("\n") == 2, ended.stderr
    assert "offset 0x" in ended.stderr, ended.stderr


def signals_end_it(folder):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        with guests.Guest(folder, "signalled", machine="soft") as guest:
            guest.wait_passes(1)
            guest.process.send_signal(number)
            assert guest.qmp.wait_event("SHUTDOWN")["data"]["reason"] == \
                "host-signal"
            assert guest.wait_exit() == 0


def signal_in_a_migration_ends_it(folder):
    with guests.Guest(folder, "leaving", machine="soft") as guest, \
            guests.Guest(folder, "waiting", machine="soft",
                         incoming=True) as other:
        guest.wait_passes(1)
        guest.set_parameters(max_bandwidth=4 * MIB, downtime_limit=1)
        guest.migrate(other.listen())
        guest.wait_migration("active")
        guest.process.send_signal(signal.SIGTERM)
        assert guest.wait_exit() == 0
        other.wait_migration("failed")
        other.quit()


def wrong_page_is_found(folder):
    """The test damages a page behind the guest's back."""
    path = folder.path("ram")
    with guests.Guest(folder, "victim", machine="soft", memory=16,
                      workload="sweep",
                      arguments=["--ram-file", path]) as guest:
        guest.wait_passes(1)
        guest.qmp("stop")
        with open(path, "r+b") as ram, mmap.mmap(ram.fileno(), 0) as memory:
            memory[5 * 4096] ^= 1
        guest.qmp("cont")
        event = guest.qmp.wait_event("GUEST_CORRUPT")
        assert event["data"]["gpa"] == 5 * 4096, event
        assert guest.query()["errors"] > 0
        with open(guest.serial) as serial:
            assert "CORRUPT gpa=0x5000" in serial.read()
        guest.qmp("quit")
        assert guest.wait_exit() == 3


def content_of_a_file_is_kept(folder):
    """And worked on: what the guest wrote is in the file afterwards."""
    path = folder.path("kept")
    with open(path, "wb") as ram:
        ram.write(b"precious" * (16 * MIB // 8))
    for machine, arguments in (("none", []), ("soft", ["--paused"])):
        with guests.Guest(folder, "keeper", machine=machine, memory=16,
                          workload="idle",
                          arguments=["--ram-file", path, *arguments]) as guest:
            assert guest.query()["errors"] == 0
            guest.quit()
        with open(path, "rb") as ram:
            assert ram.read() == b"precious" * (16 * MIB // 8), machine
    with guests.Guest(folder, "writer", machine="soft", memory=16,
                      workload="sweep,span=1M",
                      arguments=["--ram-file", path]) as guest:
        guest.wait_passes(2)
        guest.quit()
    with open(path, "rb") as ram:
        assert b"precious" not in ram.read(MIB)
        assert ram.read() == b"precious" * (15 * MIB // 8)


def length_comes_from_the_file(folder):
    path = folder.path("odd")
    with open(path, "wb") as ram:
        ram.truncate(12345 * 4096)
    ended = run("--migrate", "file:" + folder.path("from-odd"),
                "--ram-file", path)
    assert ended.returncode == 1 and str(12345 * 4096) in ended.stderr
    ended = subprocess.run(
        [peers.minivmm().program, "--machine", "none", "--ram-file", path,
         "--migrate", "file:" + folder.path("from-odd")],
        stderr=subprocess.PIPE, timeout=30, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert os.path.getsize(path) == 12345 * 4096


def shared_memory_stays_where_it_is(folder):
    """x-ignore-shared: both sides map one file, and only the rest moves."""
    path = folder.path("shared")
    settings = {"machine": "soft", "memory": 64,
                "arguments": ["--ram-file", path]}
    with guests.Guest(folder, "source", **settings) as source, \
            guests.Guest(folder, "destination", incoming=True,
                         **settings) as destination:
        for side in (source, destination):
            side.set_capabilities(x_ignore_shared=True)
        source.wait_passes(1)
        source.migrate(destination.listen())
        info = source.wait_migration("completed")
        destination.wait_migration("completed")
        assert info["ram"]["transferred"] < 2 * MIB, info
        destination.check_runs()


def other_uuid_is_refused(folder):
    sides = {"machine": "soft", "options": ["validate-uuid=on"]}
    for mine, theirs, fits in ((0, 0, True), (0, 1, False)):
        with guests.Guest(folder, "source", **sides,
                          arguments=["--uuid", UUIDS[mine]]) as source, \
                guests.Guest(folder, "destination", incoming=True, **sides,
                             arguments=["--uuid", UUIDS[theirs]]) as other:
            source.wait_passes(1)
            source.migrate(other.listen())
            if fits:
                other.wait_migration("completed")
                other.check_runs()
            else:
                info = other.wait_migration("failed")
                assert UUIDS[mine] in info["error-desc"], info
                assert UUIDS[theirs] in info["error-desc"], info
                source.wait_migration("failed")
                source.check_runs()


def paused_arrival_waits(folder):
    with guests.Guest(folder, "source", machine="soft") as source, \
            guests.Guest(folder, "destination", machine="soft", incoming=True,
                         arguments=["--paused"]) as destination:
        source.wait_passes(1)
        source.migrate(destination.listen())
        destination.wait_migration("completed")
        assert destination.run_state() == "paused"
        destination.qmp("cont")
        destination.check_runs()


def main():
    suite = tap.Suite(seconds=180)
    with peers.Folder(400 * MIB) as folder:
        for check in (leaves_by_itself, tells_how_it_goes, failure_is_exit_1,
                      bad_arrival_is_exit_1, signals_end_it,
                      signal_in_a_migration_ends_it, wrong_page_is_found,
                      content_of_a_file_is_kept, length_comes_from_the_file,
                      shared_memory_stays_where_it_is, other_uuid_is_refused,
                      paused_arrival_waits):
            with suite.case(check.__name__.replace("_", " ")):
                check(folder)
    return suite.done()


if __name__ == "__main__":
    sys.exit(main())
