#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest that checks its own memory moves: one table of machine, transport
and workload. After each move exactly one side runs it, it has found nothing
wrong, and it gets on."""

import os
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import guests
import peers
import qmp
import tap

WORKLOADS = {
    "sweep": "sweep,rate=64M",
    "random": "random,rate=16M,write=50,fill=text",
    "zipf": "zipf,rate=16M,zero=30",
    "idle": "idle",
}


def over_tcp(source, destination, folder):
    source.migrate(destination.listen("tcp:127.0.0.1:0"))


def over_unix(source, destination, folder):
    source.migrate(destination.listen("unix:" + folder.path("socket")))


def over_fd(source, destination, folder):
    far, near = destination.descriptor, source.descriptor
    destination.qmp("migrate-incoming", {"uri": "fd:%d" % far})
    source.migrate("fd:%d" % near)


def over_exec(source, destination, folder):
    pipe = folder.path("pipe")
    os.mkfifo(pipe)
    destination.qmp("migrate-incoming", {"uri": "exec:cat <" + pipe})
    source.migrate("exec:cat >" + pipe)


def over_file(source, destination, folder):
    uri = "file:" + folder.path("stored")
    source.migrate(uri)
    source.wait_migration("completed")
    destination.qmp("migrate-incoming", {"uri": uri})


TRANSPORTS = {"tcp": over_tcp, "unix": over_unix, "fd": over_fd,
              "exec": over_exec, "file": over_file}

# Machine, transport, workload: each of a column with each machine at least
# once.
TABLE = [(machine, "tcp", workload) for machine in ("soft", "kvm")
         for workload in WORKLOADS]
TABLE += [(machine, transport, "sweep") for machine in ("soft", "kvm")
          for transport in TRANSPORTS if transport != "tcp"]
TABLE += [("none", transport, "sweep") for transport in TRANSPORTS]


class Sides:
    """A source whose guest has been through its memory, and a destination."""

    def __init__(self, machine, workload="sweep,rate=64M", **settings):
        guests.need(machine)
        self.folder = peers.Folder(256 * guests.MIB)
        near, far = socket.socketpair()
        self.source = self.destination = None
        try:
            with near, far:
                self.destination = guests.Guest(
                    self.folder, "destination", machine=machine,
                    incoming=True, workload=workload,
                    descriptors=[far.fileno()], **settings)
                self.source = guests.Guest(
                    self.folder, "source", machine=machine,
                    workload=workload, descriptors=[near.fileno()],
                    **settings)
                self.destination.descriptor = far.fileno()
                self.source.descriptor = near.fileno()
            if workload == "idle":
                self.source.wait_filled()
            else:
                self.source.wait_passes(1)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for side in (self.source, self.destination):
            if side:
                side.kill()
        self.folder.cleanup()

    def finish(self):
        self.source.wait_migration("completed")
        self.destination.wait_migration("completed")


def moves(machine, transport, workload):
    with Sides(machine, WORKLOADS[workload]) as sides:
        TRANSPORTS[transport](sides.source, sides.destination, sides.folder)
        sides.finish()
        assert sides.source.run_state() == "postmigrate"
        sides.source.check_stands()
        before, after = sides.source.query(), sides.destination.query()
        assert before["errors"] == after["errors"] == 0
        assert sides.destination.run_state() == "running"
        if workload != "idle":
            sides.destination.wait_passes(before["passes"] + 2
                                          if machine != "none" else 1)
        info = sides.source.info()
        assert info["ram"]["remaining"] == 0, info
        assert info["ram"]["dirty-sync-count"] >= 2, info
        assert info["ram"]["transferred"] >= info["ram"]["normal-bytes"], info
        assert info["x-downtime-us"] > 0, info
        if machine != "none":
            assert 0 < sides.destination.query()["blackout-us"] < 60e6
        sides.source.quit()
        sides.destination.quit()


def moves_on_and_on(machine):
    """From process to process: what arrived can leave again."""
    guests.need(machine)
    with peers.Folder(256 * guests.MIB) as folder:
        here = guests.Guest(folder, "first", machine=machine)
        try:
            here.wait_passes(1)
            for number in range(5):
                there = guests.Guest(folder, "host%d" % number,
                                     machine=machine, incoming=True)
                passes = here.query()["passes"]
                try:
                    here.migrate(there.listen())
                    here.wait_migration("completed")
                    there.wait_migration("completed")
                    here.quit()
                finally:
                    here.kill()
                    here = there
                here.wait_passes(passes + 2)
            here.quit()
        finally:
            here.kill()


def paused_guest_stays_paused(machine):
    with Sides(machine) as sides:
        sides.source.qmp("stop")
        before = sides.source.query()
        over_tcp(sides.source, sides.destination, sides.folder)
        sides.finish()
        assert sides.destination.run_state() == "paused"
        sides.destination.check_stands()
        if machine != "none":
            after = sides.destination.query()
            assert after["pages-checked"] == before["pages-checked"]
        sides.destination.qmp("cont")
        sides.destination.check_runs()


def arrives_where_it_shall_not_run_yet():
    """stop and cont before the arrival say what is to happen then."""
    for command, state in (("stop", "paused"), ("cont", "running")):
        with Sides("soft") as sides:
            sides.destination.qmp("stop")
            sides.destination.qmp(command)
            over_tcp(sides.source, sides.destination, sides.folder)
            sides.finish()
            assert sides.destination.run_state() == state, state


def saved_guest_may_go_on(move):
    """A file is a copy, so the original may run; a guest that moved runs
    elsewhere, and there only."""
    with Sides("soft") as sides:
        uri = "file:" + sides.folder.path("stored")
        sides.source.migrate(uri)
        sides.source.wait_migration("completed")
        try:
            sides.source.migrate(uri)
            raise AssertionError("a stopped guest was migrated again")
        except qmp.Error as error:
            assert "previous migration" in error.description
        sides.source.qmp("cont")
        sides.source.check_runs()
        move(sides.source, sides.destination, sides.folder)
        sides.finish()
        try:
            sides.source.qmp("cont")
            raise AssertionError("the guest runs twice")
        except qmp.Error as error:
            assert "moved" in error.description
        sides.source.check_stands()
        sides.destination.check_runs()


def events_tell_the_story(machine):
    with Sides(machine) as sides:
        for side in (sides.source, sides.destination):
            side.set_capabilities(events=True)
        over_tcp(sides.source, sides.destination, sides.folder)
        sides.finish()
        statuses = sides.source.take_statuses("completed")
        assert statuses == ["setup", "active", "device", "completed"], statuses
        names = [event["event"] for event in sides.source.qmp.events]
        assert names.count("STOP") == 1 and "RESUME" not in names, names
        passes = [event["data"]["pass"] for event in sides.source.qmp.events
                  if event["event"] == "MIGRATION_PASS"]
        assert passes == sorted(set(passes)) and passes, passes
        statuses = sides.destination.take_statuses("completed")
        assert statuses[0] == "setup" and statuses[-1] == "completed", statuses
        names = [event["event"] for event in sides.destination.qmp.events]
        assert names.count("RESUME") == 1 and "STOP" not in names, names


def machines_that_differ_are_refused():
    for settings, words in (({"memory": 16}, "block"), ({"vcpus": 1}, "vCPU"),
                            ({"machine": "none"}, "none")):
        with peers.Folder(256 * guests.MIB) as folder:
            settings = {"machine": "soft", **settings}
            with guests.Guest(folder, "source", machine="soft") as source, \
                    guests.Guest(folder, "destination", incoming=True,
                                 **settings) as destination:
                source.wait_passes(1)
                source.migrate(destination.listen())
                info = destination.wait_migration("failed")
                assert words in info["error-desc"], info
                source.wait_migration("failed")
                source.check_runs()
                destination.check_stands()


def main():
    suite = tap.Suite(seconds=400)
    for machine, transport, workload in TABLE:
        with suite.case("%s over %s, %s" % (machine, transport, workload)):
            moves(machine, transport, workload)
    for machine in ("soft", "kvm"):
        for check in (moves_on_and_on, paused_guest_stays_paused,
                      events_tell_the_story):
            with suite.case("%s: %s" % (
                    machine, check.__name__.replace("_", " "))):
                check(machine)
    for move in (over_tcp, over_fd):
        with suite.case("saved guest may go on, moved %s it may not"
                        % move.__name__.replace("_", " ")):
            saved_guest_may_go_on(move)
    for check in (arrives_where_it_shall_not_run_yet,
                  machines_that_differ_are_refused):
        with suite.case(check.__name__.replace("_", " ")):
            check()
    return suite.done()


if __name__ == "__main__":
    sys.exit(main())
