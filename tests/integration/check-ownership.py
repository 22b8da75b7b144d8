#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whatever breaks, exactly one side runs the guest, or somebody says that it
is unknown; and the next attempt gives a perfect copy."""

import signal
import socket
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import guests
import peers
import qmp
import tap

MIB = guests.MIB
CRAWL = {"max_bandwidth": 8 * MIB, "downtime_limit": 1}
FAST = {"max_bandwidth": 0, "downtime_limit": 300}
PROMPT_SECONDS = 1


class Sink:
    """A destination that takes connections and bytes, and never answers."""

    def __init__(self, limit=None):
        """Reads no more than limit bytes."""
        self.received = 0
        self._limit = limit
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connection = None
        self.uri = "tcp:127.0.0.1:%d" % self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            self._connection = self._listener.accept()[0]
            while self._limit is None or self.received < self._limit:
                data = self._connection.recv(1 << 16)
                if not data:
                    return
                self.received += len(data)
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.hang_up()

    def hang_up(self):
        for end in (self._connection, self._listener):
            if end:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        self._thread.join(5)
        for end in (self._connection, self._listener):
            if end:
                end.close()


class Source:
    """A guest that has been through its memory, and where it may go."""

    def __init__(self, machine, workload="random,rate=16M", **settings):
        guests.need(machine)
        self._settings = {"machine": machine, "workload": workload, **settings}
        self.folder = peers.Folder(256 * MIB)
        self.guest = None
        self._others = []
        try:
            self.guest = guests.Guest(self.folder, "source", **self._settings)
            if workload == "idle":
                self.guest.wait_filled()
            else:
                self.guest.wait_passes(1)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for guest in [self.guest, *self._others]:
            if guest:
                guest.kill()
        self.folder.cleanup()

    def destination(self):
        guest = guests.Guest(self.folder, "destination", incoming=True,
                             **self._settings)
        self._others.append(guest)
        return guest

    def crawl(self, uri):
        """Starts a migration, and returns when it is in full swing."""
        self.guest.set_parameters(**CRAWL)
        self.guest.migrate(uri)
        tap.wait_until(
            lambda: self.guest.info()["ram"]["transferred"] > 2 * MIB, 20,
            "memory on its way")

    def moves_now(self):
        """A second migration, after whatever happened, is perfect."""
        self.guest.check_runs()
        destination = self.destination()
        self.guest.set_capabilities(pause_before_switchover=False)
        self.guest.set_parameters(**FAST)
        self.guest.migrate(destination.listen())
        self.guest.wait_migration("completed")
        destination.wait_migration("completed")
        self.guest.check_stands()
        assert self.guest.query()["errors"] == 0
        passes = destination.query()["passes"]
        destination.wait_passes(passes + 2)
        self.guest.quit()
        destination.quit()


def cancel(guest):
    begun = time.monotonic()
    guest.qmp("migrate_cancel")
    guest.wait_migration("cancelled")
    took = time.monotonic() - begun
    assert took < PROMPT_SECONDS, "cancelling took %.2f s" % took
    assert "error-desc" not in guest.info()


def cancelled_while_it_connects(machine):
    """The listener's queue is full: a connection is neither taken nor
    refused."""
    with Source(machine) as source, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        source.guest.migrate("tcp:127.0.0.1:%d" % listener.getsockname()[1])
        assert source.guest.info()["status"] == "setup"
        cancel(source.guest)
        for one in waiting:
            one.close()
        source.moves_now()


def cancelled_while_memory_moves(machine):
    with Source(machine) as source:
        destination = source.destination()
        source.crawl(destination.listen())
        cancel(source.guest)
        info = destination.wait_migration("failed")
        assert info["error-desc"], info
        destination.check_stands()
        source.moves_now()


def cancelled_while_the_peer_reads_nothing(machine):
    with Source(machine) as source, Sink(limit=1 << 16) as sink:
        source.guest.set_parameters(**FAST)
        source.guest.migrate(sink.uri)
        tap.wait_until(lambda: sink.received >= 1 << 16, 10, "the first bytes")
        assert source.guest.info()["status"] in ("active", "device")
        cancel(source.guest)
        source.moves_now()


def cancelled_before_the_switch(machine):
    with Source(machine) as source:
        destination = source.destination()
        source.guest.set_capabilities(pause_before_switchover=True)
        source.guest.set_parameters(**FAST)
        source.guest.migrate(destination.listen())
        source.guest.wait_migration("pre-switchover")
        assert source.guest.run_state() == "finish-migrate"
        source.guest.check_stands()
        cancel(source.guest)
        destination.wait_migration("failed")
        destination.check_stands()
        source.moves_now()


def cancelled_on_the_other_side(machine):
    with Source(machine) as source:
        destination = source.destination()
        source.crawl(destination.listen())
        cancel(destination)
        info = source.guest.wait_migration("failed")
        assert info["error-desc"], info
        source.moves_now()


def destination_waits_again(machine):
    """What a failed migration has left in its memory harms nothing."""
    with Source(machine) as source:
        destination = source.destination()
        for _ in range(2):
            source.crawl(destination.listen())
            cancel(source.guest)
            destination.wait_migration("failed")
            assert destination.run_state() == "inmigrate"
        source.guest.set_parameters(**FAST)
        source.guest.migrate(destination.listen())
        source.guest.wait_migration("completed")
        destination.wait_migration("completed")
        passes = destination.query()["passes"]
        destination.wait_passes(passes + 2)


def waits_before_the_switch(machine):
    """pause-before-switchover: the guest stands until it is told to go on."""
    with Source(machine) as source:
        destination = source.destination()
        source.guest.set_capabilities(pause_before_switchover=True)
        source.guest.set_parameters(**FAST)
        source.guest.migrate(destination.listen())
        source.guest.wait_migration("pre-switchover")
        source.guest.check_stands()
        try:
            source.guest.qmp("cont")
            raise AssertionError("cont in the middle of a switch")
        except qmp.Error as error:
            assert "not finalized" in error.description
        source.guest.qmp("migrate-continue", {"state": "pre-switchover"})
        source.guest.wait_migration("completed")
        destination.wait_migration("completed")
        source.guest.check_stands()
        destination.check_runs()


def destination_is_killed(machine):
    with Source(machine) as source:
        destination = source.destination()
        source.crawl(destination.listen())
        destination.process.send_signal(signal.SIGKILL)
        info = source.guest.wait_migration("failed")
        assert info["error-desc"], info
        source.moves_now()


def destination_is_killed_before_the_switch(machine):
    with Source(machine) as source:
        destination = source.destination()
        source.guest.set_capabilities(pause_before_switchover=True)
        source.guest.set_parameters(**FAST)
        source.guest.migrate(destination.listen())
        source.guest.wait_migration("pre-switchover")
        destination.process.send_signal(signal.SIGKILL)
        destination.process.wait()
        try:
            source.guest.qmp("migrate-continue", {"state": "pre-switchover"})
        except qmp.Error:
            pass  # it has noticed already
        source.guest.wait_migration("failed")
        source.moves_now()


def source_is_killed(machine):
    with Source(machine) as source:
        destination = source.destination()
        source.crawl(destination.listen())
        source.guest.process.send_signal(signal.SIGKILL)
        info = destination.wait_migration("failed")
        assert "main" in info["error-desc"], info
        assert destination.run_state() == "inmigrate"
        destination.check_stands()
        destination.quit()


def source_is_killed_after_the_move(machine):
    with Source(machine) as source:
        destination = source.destination()
        source.guest.set_parameters(**FAST)
        source.guest.migrate(destination.listen())
        destination.wait_migration("completed")
        source.guest.process.send_signal(signal.SIGKILL)
        destination.check_runs()


def lost_word_is_unknown(machine):
    """Everything was sent, and the link is lost before the answer: the guest
    is held, for it may run over there, until a person says otherwise."""
    with Source(machine, options=["max-bandwidth=0"]) as source, \
            Sink() as sink:
        source.guest.migrate(sink.uri)
        source.guest.wait_migration("device")
        tap.wait_until(lambda: source.guest.info()["ram"]["remaining"] == 0,
                       10, "everything sent")
        settle(sink)
        try:
            source.guest.qmp("migrate_cancel")
            raise AssertionError("cancelled past the point of no return")
        except qmp.Error as error:
            assert error.description
        sink.hang_up()
        info = source.guest.wait_migration("failed")
        assert "ask it whether the guest runs" in info["error-desc"], info
        assert source.guest.run_state() == "paused"
        source.guest.check_stands()
        source.guest.qmp("cont")
        source.moves_now()


def settle(sink):
    """Waits until nothing more arrives."""
    before = -1
    while sink.received != before:
        before = sink.received
        time.sleep(0.2)


def lost_word_may_mean_resume(machine):
    with Source(machine, options=["max-bandwidth=0",
                                  "on-lost-ack=resume"]) as source, \
            Sink() as sink:
        source.guest.migrate(sink.uri)
        source.guest.wait_migration("device")
        settle(sink)
        sink.hang_up()
        source.guest.wait_migration("failed")
        source.moves_now()


def refused_connection_is_no_loss(machine):
    with Source(machine) as source:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        source.guest.migrate("tcp:127.0.0.1:%d" % port)
        info = source.guest.wait_migration("failed")
        assert "refused" in info["error-desc"], info
        assert str(port) in info["error-desc"], info
        source.moves_now()


def bandwidth_limit_is_kept(machine):
    limit = 20 * MIB
    with Source(machine, workload="idle", memory=48) as source:
        destination = source.destination()
        source.guest.set_parameters(max_bandwidth=limit, downtime_limit=100)
        source.guest.migrate(destination.listen())
        info = source.guest.wait_migration("completed")
        seconds = info["total-time"] / 1000
        rate = info["ram"]["precopy-bytes"] / seconds
        assert 0.7 * limit < rate < 1.15 * limit, (rate, info)


def limit_can_change_on_the_way(machine):
    with Source(machine) as source:
        destination = source.destination()
        source.crawl(destination.listen())
        source.guest.set_parameters(**FAST)
        source.guest.wait_migration("completed", seconds=10)
        destination.wait_migration("completed")
        destination.check_runs()


def queries_are_prompt_all_the_while(machine):
    with Source(machine) as source:
        destination = source.destination()
        source.guest.migrate(destination.listen())
        slowest = 0
        while source.guest.info()["status"] != "completed":
            for side in (source.guest, destination):
                for command in ("query-migrate", "query-status",
                                "x-query-guest"):
                    begun = time.monotonic()
                    side.qmp(command)
                    slowest = max(slowest, time.monotonic() - begun)
        assert slowest < 0.1, "a query took %.0f ms" % (slowest * 1000)


def main():
    suite = tap.Suite(seconds=500)
    for machine in ("soft", "kvm"):
        for check in (cancelled_while_it_connects,
                      cancelled_while_memory_moves,
                      cancelled_while_the_peer_reads_nothing,
                      cancelled_before_the_switch,
                      cancelled_on_the_other_side,
                      destination_waits_again,
                      waits_before_the_switch,
                      destination_is_killed,
                      destination_is_killed_before_the_switch,
                      source_is_killed,
                      source_is_killed_after_the_move,
                      lost_word_is_unknown, lost_word_may_mean_resume,
                      refused_connection_is_no_loss,
                      bandwidth_limit_is_kept,
                      limit_can_change_on_the_way,
                      queries_are_prompt_all_the_while):
            with suite.case("%s: %s" % (
                    machine, check.__name__.replace("_", " "))):
                check(machine)
    return suite.done()


if __name__ == "__main__":
    sys.exit(main())
