#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The tools of these tests, tried where no program of ours is involved.

Two QEMUs migrate to each other through the same code that the other tests
use, and the stream reader must agree with what they store.
"""

import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import memory
import migration
import peers
import relay
import stream
import tap

SIZE = 8 * memory.MIB + 3 * memory.PAGE_SIZE


def differing_memory_is_noticed(folder):
    memory.make(folder.path("one"), SIZE)
    memory.make(folder.path("other"), SIZE)
    memory.assert_equal(folder.path("one"), folder.path("other"))
    with open(folder.path("other"), "r+b") as changed:
        changed.seek(SIZE - 1)
        last = changed.read(1)
        changed.seek(SIZE - 1)
        changed.write(bytes([last[0] ^ 1]))
    at = memory.first_difference(folder.path("one"), folder.path("other"))
    assert at == SIZE - memory.PAGE_SIZE, at


def relay_delays_and_cuts():
    with socket.create_server(("127.0.0.1", 0)) as listener, \
            relay.Relay(listener.getsockname()) as link, \
            socket.create_connection(("127.0.0.1", link.port), 5) as near:
        far = listener.accept()[0]
        with far:
            far.settimeout(5)
            link.delay(0.05)
            begun = time.monotonic()
            near.sendall(b"out")
            assert far.recv(16) == b"out"
            far.sendall(b"home")
            assert near.recv(16) == b"home"
            assert time.monotonic() - begun >= 0.1
            link.cut()
            assert far.recv(16) == near.recv(16) == b""
        passed = link.connections[0]
        assert (passed.forward, passed.backward) == (b"out", b"home")


def stored_stream_is_read(qemu):
    with peers.Folder(4 * SIZE) as folder:
        path, stored = folder.path("ram"), folder.path("stream")
        memory.make(path, SIZE)
        with qemu.start(folder, "source", path, SIZE,
                        writable=True) as machine:
            machine.migrate("exec:cat >" + stored)
            machine.wait_migration("completed")
            machine.quit()
        with open(stored, "rb") as data:
            data = data.read()
        with open(path, "rb") as contents:
            assert stream.read(data).blocks["mem"] == contents.read()
        # What is not a stream is refused: a bit of a footer, a lost byte.
        for broken in (data[:9000] + data[9001:], data[:-1],
                       data.replace(b"\x05timer", b"\x05tiner", 1)):
            try:
                stream.read(broken)
            except stream.Malformed:
                continue
            raise AssertionError("a broken stream was read")


def written_pages_arrive(source, destination):
    with migration.Pair(source, destination, SIZE, writable=True) as pair:
        migration.with_writes(pair, 4, 10000)
        pair.verify()


def cut_link_fails_both(source, destination):
    with migration.Pair(source, destination, SIZE, "random") as pair:
        uri = pair.destination.listen()
        with relay.Relay(("127.0.0.1", int(uri.rsplit(":", 1)[1]))) as link:
            link.cut_after(SIZE // 2)
            pair.source.set_capabilities(return_path=True)
            pair.source.migrate("tcp:127.0.0.1:%d" % link.port)
            pair.source.wait_migration("failed")
            assert pair.destination.wait_exit() != 0
            assert len(link.connections[0].forward) == SIZE // 2
        pair.start_destination()
        pair.migrate()
        pair.verify()


def main():
    suite = tap.Suite(60)
    with suite.case("differing memory is noticed"), \
            peers.Folder(2 * SIZE) as folder:
        differing_memory_is_noticed(folder)
    with suite.case("a relay delays and cuts"):
        relay_delays_and_cuts()
    found, reasons = peers.qemus()
    for name, why in reasons:
        suite.skip(name, why)
    for source in found:
        with suite.case("%s: stored stream is read" % source):
            stored_stream_is_read(source)
        for destination in found:
            name = "%s to %s" % (source, destination)
            # What a CPU has differs between versions of `-M none`.
            if source is destination:
                with suite.case(name + ": written pages arrive"):
                    migration.insist(
                        lambda: written_pages_arrive(source, source))
            with suite.case(name + ": a cut link fails both"):
                cut_link_fails_both(source, destination)
    return suite.done()


sys.exit(main())
