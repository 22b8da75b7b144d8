#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What does not fit is refused in one sentence, and the guest goes on at the
source; one whose source is gone never runs at the destination. (cancel.py has
what else can end a migration.)"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import memory
import migration
import peers
import relay
import tap
from memory import MIB

SIZE = 8 * MIB
SHUT_1 = b"\x00\x01\x00\x04\x00\x00\x00\x01"
HALF = {"max_bandwidth": 8 * MIB, "downtime_limit": 1}


def is_refused(source, destination, source_options, destination_options,
               *words):
    with migration.Pair(source, destination, SIZE,
                        source_options=source_options,
                        destination_options=destination_options) as pair:
        said = pair.expect_refusal()
        for word in words:
            assert word in said, (word, said)


def other_machine(source, destination):
    options = [{} if side.is_qemu else {"machine": "soft"}
               for side in (source, destination)]
    is_refused(source, destination, *options, "none", "minivmm-soft")


def other_block(source, destination):
    is_refused(source, destination, {"ram_id": "stranger"}, {}, "stranger")


def other_length(source, destination):
    """Shorter and longer than what is there."""
    for here, there in ((SIZE, SIZE // 2), (SIZE // 2, SIZE)):
        with peers.Folder(2 * SIZE) as folder:
            paths = folder.path("source.ram"), folder.path("destination.ram")
            memory.make(paths[0], here)
            memory.make_empty(paths[1], there)
            options = {"properties": source.globals_towards(destination)} \
                if source.is_qemu else {}
            with source.start(folder, "source", paths[0], here,
                              **options) as sender, \
                    destination.start(folder, "destination", paths[1], there,
                                      incoming=True) as receiver:
                sender.set_capabilities(
                    return_path=True,
                    pause_before_switchover=not source.is_qemu)
                sender.migrate(receiver.listen())
                sender.wait_migration("failed")
                tap.wait_until(lambda: sender.run_state() == "running", 5,
                               "the guest goes on")
                if destination.is_qemu:
                    assert receiver.wait_exit() != 0
                    continue
                said = receiver.wait_migration("failed")["error-desc"]
                assert '"mem"' in said and hex(here) in said and \
                    hex(there) in said, said
                assert receiver.run_state() == "inmigrate"


def refusal_is_told(source, destination):
    """Ours says SHUT 1, for the source to know that it can go on."""
    with migration.Pair(source, destination, SIZE,
                        source_options={"ram_id": "stranger"}) as pair:
        uri = pair.destination.listen()
        with relay.Relay(("127.0.0.1", int(uri.rsplit(":", 1)[1]))) as link:
            pair.source.set_capabilities(return_path=True)
            pair.source.migrate("tcp:127.0.0.1:%d" % link.port)
            pair.check_goes_on(pair.source.wait_migration("failed"))
            answers = bytes(link.connections[0].backward)
        assert answers.endswith(SHUT_1), answers


def killed_source(source, destination):
    with migration.Pair(source, destination, SIZE, "random") as pair:
        pair.source.set_parameters(**HALF)
        pair.begin()
        migration.wait_bytes(pair.source, SIZE // 2)
        pair.source.kill()
        if destination.is_qemu:
            assert pair.destination.wait_exit() != 0
            return
        said = pair.destination.wait_migration(
            "failed", seconds=5)["error-desc"]
        assert said.startswith("receive: channel main, offset 0x"), said
        assert 'section "ram"' in said and "\n" not in said, said
        assert pair.destination.run_state() == "inmigrate"
        # It can be the destination of another.
        pair.start_source()
        pair.migrate()
        pair.verify()


CASES = [
    ("another machine is refused", other_machine),
    ("another block is refused", other_block),
    ("another length is refused", other_length),
    ("a killed source", killed_source),
]


def main():
    suite = tap.Suite(180)
    for source, destination in migration.pairs(suite):
        cases = list(CASES)
        if source.is_qemu:
            cases.append(("a refusal is told", refusal_is_told))
        for words, case in cases:
            with suite.case("%s to %s: %s" % (source, destination, words)):
                case(source, destination)
    return suite.done()


sys.exit(main())
