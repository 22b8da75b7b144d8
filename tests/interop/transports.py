#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every kind of address that ours and QEMU both have carries a migration."""

import os
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import migration
import tap
from memory import MIB

SIZE = 8 * MIB


def over_unix(source, destination):
    with migration.Pair(source, destination, SIZE) as pair:
        pair.migrate("unix:" + pair.folder.path("socket"))
        pair.verify()


def over_tcp6(source, destination):
    if not socket.has_ipv6 or not os.path.exists("/proc/net/if_inet6"):
        raise tap.Skip("no IPv6 here")
    with migration.Pair(source, destination, SIZE) as pair:
        pair.migrate("tcp:[::1]:0")
        pair.verify()


def over_descriptors(source, destination, make, **capabilities):
    """Each side has its end, and the test keeps neither: else the end of one
    would never be seen by the other."""
    far, near = make()
    options = [{} if side.is_qemu else {"descriptors": [end]}
               for side, end in ((source, near), (destination, far))]
    with migration.Pair(source, destination, SIZE, source_options=options[0],
                        destination_options=options[1]) as pair:
        outgoing = pair.source.take_descriptor(near)
        incoming = pair.destination.take_descriptor(far)
        os.close(near)
        os.close(far)
        pair.destination.qmp("migrate-incoming", {"uri": incoming})
        pair.source.set_capabilities(**capabilities)
        pair.source.migrate(outgoing)
        pair.finish()
        pair.verify()


def socket_pair():
    return tuple(end.detach() for end in socket.socketpair())


def over_commands(source, destination):
    """A command that writes to a pipe, and one that reads from it."""
    with migration.Pair(source, destination, SIZE) as pair:
        pipe = pair.folder.path("pipe")
        os.mkfifo(pipe)
        pair.destination.qmp("migrate-incoming", {"uri": "exec:cat <" + pipe})
        pair.source.migrate("exec:cat >" + pipe)
        pair.finish()
        pair.verify()


def over_file(source, destination):
    with migration.Pair(source, destination, SIZE) as pair:
        uri = "file:" + pair.folder.path("stored")
        pair.source.migrate(uri)
        pair.source.wait_migration("completed")
        pair.destination.qmp("migrate-incoming", {"uri": uri})
        pair.finish()
        pair.verify()


def over_file_behind_something(source, destination):
    """What the file holds before the offset is somebody else's."""
    head = b"not to be touched" * 1000
    with migration.Pair(source, destination, SIZE) as pair:
        path = pair.folder.path("stored")
        with open(path, "wb") as stored:
            stored.write(head)
        uri = "file:%s,offset=0x%x" % (path, len(head))
        pair.source.migrate(uri)
        pair.source.wait_migration("completed")
        with open(path, "rb") as stored:
            assert stored.read(len(head)) == head
            assert stored.read(4) == b"QEVM"
        pair.destination.qmp("migrate-incoming", {"uri": uri})
        pair.finish()
        pair.verify()


def main():
    suite = tap.Suite(120)
    for source, destination in migration.pairs(suite):
        name = "%s to %s: " % (source, destination)
        with suite.case(name + "unix:"):
            over_unix(source, destination)
        with suite.case(name + "tcp: over IPv6"):
            over_tcp6(source, destination)
        with suite.case(name + "fd: of a socket"):
            over_descriptors(source, destination, socket_pair,
                             return_path=True)
        with suite.case(name + "fd: of a pipe"):
            over_descriptors(source, destination, os.pipe, return_path=False)
        with suite.case(name + "exec:"):
            over_commands(source, destination)
        if source.has_file_transport() and destination.has_file_transport():
            with suite.case(name + "file:"):
                over_file(source, destination)
            with suite.case(name + "file: with an offset"):
                over_file_behind_something(source, destination)
    return suite.done()


sys.exit(main())
