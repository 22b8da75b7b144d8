# SPDX-License-Identifier: LGPL-2.1-or-later
"""One migration between two machines, from their memory files to a verdict.

    with migration.Pair(qemu, minivmm, 8 * MIB, "mixed") as pair:
        pair.migrate()
        pair.verify()
"""

import random
import time

import memory
import peers
import stream
import tap


def sections_of(qemu, properties=()):
    """The device sections of a writable `-M none` of this QEMU, as minivmm's
    --opaque wants them: saved once and measured by the VM description."""
    size = memory.MIB
    with peers.Folder(4 * size) as folder:
        memory.make(folder.path("ram"), size, "zero")
        stored = folder.path("stream")
        with qemu.start(folder, "model", folder.path("ram"), size,
                        writable=True, properties=properties) as machine:
            machine.migrate("exec:cat >" + stored)
            machine.wait_migration("completed")
            machine.quit()
        return ["%s,instance=%d,version=%d,bytes=%d" % (
            section.name, section.instance, section.version,
            len(section.body))
            for section in stream.read_file(stored).sections
            if section.kind == stream.FULL and
            section.name not in ("timer", "globalstate")]


class Pair:
    """A source and a destination, and the two files that are their memory.

    writable: the test can write the memory of a QEMU source while it moves,
    for which all QEMUs of the pair get a CPU and minivmm the sections of it.
    """

    def __init__(self, source, destination, size, content="mixed", *,
                 writable=False, source_options=None,
                 destination_options=None):
        self._flavours = source, destination
        self._size, self._content, self._writable = size, content, writable
        self._options = [dict(source_options or {}),
                         dict(destination_options or {})]
        self.source = self.destination = None

    def __enter__(self):
        source, destination = self._flavours
        self.folder = peers.Folder(3 * self._size)
        try:
            memory.make(self.folder.path("source.ram"), self._size,
                        self._content)
            if source.is_qemu:
                self._options[0]["properties"] = [
                    *source.globals_towards(destination),
                    *self._options[0].get("properties", ())]
            if self._writable:
                self._make_writable()
            self.start_source()
            self.start_destination()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _make_writable(self):
        qemu = next(side for side in self._flavours if side.is_qemu)
        for side, options in zip(self._flavours, self._options):
            if side.is_qemu:
                options["writable"] = True
            else:
                options["opaque"] = sections_of(qemu)

    def __exit__(self, kind, failure, _):
        for machine in (self.source, self.destination):
            if machine:
                machine.kill()
        self.folder.cleanup()
        return False

    def start_source(self):
        """Starts it, or a new one with the memory of one that is gone."""
        self.source = self._flavours[0].start(
            self.folder, "source", self.folder.path("source.ram"), self._size,
            **self._options[0])

    def start_destination(self):
        """Starts it, or a new one in place of one that a failure has used up,
        with memory that is nothing like the source's."""
        if self.destination:
            self.destination.kill()
        path = self.folder.path("destination.ram")
        memory.make_empty(path, self._size)
        self.destination = self._flavours[1].start(
            self.folder, "destination", path, self._size, incoming=True,
            **self._options[1])

    def begin(self, uri="tcp:127.0.0.1:0", **capabilities):
        """Starts the migration; uri is where the destination listens."""
        self.source.set_capabilities(
            **{"return_path": uri.startswith(("tcp:", "unix:")),
               **capabilities})
        self.source.migrate(self.destination.listen(uri))

    def finish(self):
        """Waits for both sides' word that it is completed; the source's."""
        info = self.source.wait_migration("completed")
        self.destination.wait_migration("completed")
        return info

    def migrate(self, uri="tcp:127.0.0.1:0", **capabilities):
        self.begin(uri, **capabilities)
        return self.finish()

    def expect_refusal(self, **capabilities):
        """The destination does not take what the source sends, which goes on
        where it was. What the destination says about that."""
        # All of a small guest may have left before it is refused. Ours must
        # take the end of the link for the worst then, unless it waits before.
        if not self._flavours[0].is_qemu:
            capabilities["pause_before_switchover"] = True
        self.begin(**capabilities)
        info = self.source.wait_migration("failed")
        self.check_goes_on(info)
        if self._flavours[1].is_qemu:
            assert self.destination.wait_exit() != 0
            return self.destination.said()
        assert self.destination.run_state() == "inmigrate"
        words = self.destination.wait_migration("failed")["error-desc"]
        assert words.startswith("receive: ") and "\n" not in words, words
        return words

    def check_goes_on(self, info):
        """The guest runs at the source, as before a migration that failed."""
        if self.source.qtest:
            return  # what can be written from outside never ran
        if self._flavours[0].is_qemu:
            # It may say for a moment that it failed and has not done it yet.
            tap.wait_until(lambda: self.source.run_state() == "running", 5,
                           "%s: the guest goes on" % self.source.name)
            return
        assert self.source.run_state() == "running", self.source.run_state()
        words = info["error-desc"]
        assert words.startswith("send: ") and "\n" not in words, words

    def verify(self):
        """Both sides end well, and their memory is the same."""
        self.source.quit()
        self.destination.quit()
        memory.assert_equal(self.source.memory, self.destination.memory)


def pairs(suite):
    """(source, destination) for each QEMU and each direction. What cannot be
    had is skipped aloud, once."""
    ours = peers.minivmm()
    found, reasons = peers.qemus()
    for name, why in reasons:
        suite.skip("%s and minivmm" % name, why)
    return [pair for qemu in found
            for pair in ((ours, qemu), (qemu, ours))]


class Writer:
    """Writes random pages of a QEMU source, so many in a second.

    Called over and over between other work, it catches up with the clock, by
    a few pages at most."""

    def __init__(self, machine, pages_per_second):
        self._machine, self._pace = machine, pages_per_second
        self._random = random.Random(pages_per_second)
        self._at = time.monotonic()

    def __call__(self):
        now = time.monotonic()
        pages = min(int((now - self._at) * self._pace), 256)
        if pages:
            self._at = now
            self.write(pages)
        else:
            time.sleep(0.0005)

    def write(self, pages):
        count = self._machine.size // memory.PAGE_SIZE
        self._machine.qtest.write_words([
            (self._random.randrange(count) * memory.PAGE_SIZE +
             8 * self._random.randrange(memory.PAGE_SIZE // 8),
             self._random.getrandbits(64)) for _ in range(pages)])


def slow(bytes_per_second):
    """Limits under which memory written at that rate cannot be sent fast
    enough, so that the rounds go on."""
    return {"max_bandwidth": bytes_per_second, "downtime_limit": 1}


FAST = {"max_bandwidth": 1 << 34, "downtime_limit": 2000}


def with_writes(pair, rounds, pages_per_second, uri="tcp:127.0.0.1:0"):
    """Migrates from a QEMU while its memory is written, for so many rounds.

    Writes go on until it stops for the switch, and once more there: what is
    written after the last look at the dirty memory would rightly be lost.
    """
    pair.source.set_parameters(**slow(
        min(pages_per_second * memory.PAGE_SIZE // 2, 20_000_000)))
    pair.begin(uri, pause_before_switchover=True)
    write = Writer(pair.source, pages_per_second)
    if pair.source.wait_rounds(rounds, write) < rounds:
        raise TooFast("the source stopped after too few rounds")
    pair.source.set_parameters(**FAST)
    pair.source.wait_rounds(1 << 32, write)
    write.write(64)
    pair.source.qmp("migrate-continue", {"state": "pre-switchover"})
    return pair.finish()


class TooFast(Exception):
    """Writing did not keep up with sending: nothing was shown either way."""


def insist(attempt):
    """Calls attempt() again, a few times, where it was TooFast."""
    for left in (2, 1, 0):
        try:
            return attempt()
        except TooFast:
            if not left:
                raise


def wait_bytes(machine, count):
    """Waits until so much is on its way."""
    tap.wait_until(
        lambda: machine.info().get("ram", {}).get("transferred", 0) >= count,
        peers.MIGRATION_SECONDS, "%s: %d bytes sent" % (machine.name, count))
