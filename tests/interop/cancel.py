#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A migration that is cancelled or fails harms nothing: the source goes on,
and the next migration of the same guest is perfect."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import migration
import relay
import tap
from memory import MIB

SIZE = 8 * MIB
CRAWL = {"max_bandwidth": 4 * MIB, "downtime_limit": 1}
PACE = 2000


def pair_of(source, destination):
    """Memory is being written meanwhile, by whatever the source has."""
    if source.is_qemu:
        return migration.Pair(source, destination, SIZE, "random",
                              writable=True)
    return migration.Pair(source, destination, SIZE, "random",
                          source_options={"workload": "random,rate=8M"})


def begin_and_write(pair):
    """Half of the memory is on its way, and some of that is stale again."""
    pair.source.set_parameters(**CRAWL)
    pair.begin()
    write_some(pair)
    migration.wait_bytes(pair.source, SIZE // 4)
    write_some(pair)


def write_some(pair):
    if pair.source.qtest:
        migration.Writer(pair.source, PACE).write(200)


def second_is_perfect(pair):
    write_some(pair)
    pair.start_destination()
    pair.source.set_parameters(**migration.FAST)
    pair.migrate()
    pair.verify()


def lost_by_the_destination(pair):
    """It says so, or ends: a QEMU does the latter, and not with success."""
    if pair.destination.flavour.is_qemu:
        assert pair.destination.wait_exit() != 0
    else:
        info = pair.destination.wait_migration("failed")
        assert info["error-desc"], info


def cancelled_at_the_source(source, destination):
    with pair_of(source, destination) as pair:
        begin_and_write(pair)
        pair.source.qmp("migrate_cancel")
        pair.source.wait_migration("cancelled", seconds=5)
        lost_by_the_destination(pair)
        second_is_perfect(pair)


def cancelled_before_the_switch(source, destination):
    with pair_of(source, destination) as pair:
        pair.source.set_parameters(**migration.FAST)
        pair.begin(pause_before_switchover=True)
        pair.source.wait_migration("pre-switchover")
        pair.source.qmp("migrate_cancel")
        pair.source.wait_migration("cancelled", seconds=5)
        lost_by_the_destination(pair)
        pair.source.set_capabilities(pause_before_switchover=False)
        second_is_perfect(pair)


def cancelled_at_the_destination(source, destination):
    with pair_of(source, destination) as pair:
        begin_and_write(pair)
        pair.destination.qmp("migrate_cancel")
        pair.destination.wait_migration("cancelled", seconds=5)
        pair.source.wait_migration("failed")
        second_is_perfect(pair)


def killed_destination(source, destination):
    with pair_of(source, destination) as pair:
        begin_and_write(pair)
        pair.destination.kill()
        pair.check_goes_on(pair.source.wait_migration("failed", seconds=5))
        second_is_perfect(pair)


def cut_link(source, destination):
    with pair_of(source, destination) as pair:
        uri = pair.destination.listen()
        with relay.Relay(("127.0.0.1", int(uri.rsplit(":", 1)[1])),
                         record=False) as link:
            pair.source.set_capabilities(return_path=True)
            pair.source.set_parameters(**CRAWL)
            pair.source.migrate("tcp:127.0.0.1:%d" % link.port)
            migration.wait_bytes(pair.source, SIZE // 4)
            write_some(pair)
            link.cut()
            pair.source.wait_migration("failed")
            lost_by_the_destination(pair)
        second_is_perfect(pair)


def main():
    suite = tap.Suite(120)
    for source, destination in migration.pairs(suite):
        cases = [("cancelled at the source", cancelled_at_the_source),
                 ("killed destination", killed_destination),
                 ("cut link", cut_link)]
        if not source.is_qemu or source.version >= (11, 0):
            # Older ones let a guest that never ran migrate only once then.
            cases.append(("cancelled before the switch",
                          cancelled_before_the_switch))
        if not destination.is_qemu:
            # A QEMU that waits for a guest cannot be told to stop waiting.
            cases.append(("cancelled at the destination",
                          cancelled_at_the_destination))
        for words, case in cases:
            with suite.case("%s to %s: %s" % (source, destination, words)):
                case(source, destination)
    return suite.done()


sys.exit(main())
