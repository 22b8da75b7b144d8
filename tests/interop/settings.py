#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What can be set means the same on both sides: whether the guest runs, who
it is, who must agree to the switch, what is sent and how fast."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import memory
import migration
import peers
import qmp
import relay
import tap
from memory import MIB

SIZE = 4 * MIB
UUIDS = ("550e8400-e29b-41d4-a716-446655440000",
         "550e8400-e29b-41d4-a716-446655440001")
SWITCHOVER_ACK = b"\x00\x07\x00\x00"


def ends_as(source, destination, state, *, stop=False, paused=(False, False)):
    """The guest runs there, or does not, as it did here."""
    with migration.Pair(source, destination, SIZE,
                        source_options={"paused": paused[0]},
                        destination_options={"paused": paused[1]}) as pair:
        if stop:
            pair.source.qmp("stop")
        pair.migrate()
        assert pair.source.run_state() == "postmigrate"
        assert pair.destination.run_state() == state, \
            pair.destination.run_state()
        if state != "running":
            pair.destination.qmp("cont")
            assert pair.destination.run_state() == "running"
        pair.verify()


def running(source, destination):
    ends_as(source, destination, "running")


def stopped(source, destination):
    ends_as(source, destination, "paused", stop=True)


def never_started(source, destination):
    # A QEMU takes the very word, and ours has only one way not to run.
    ends_as(source, destination, "paused", paused=(True, False))


def not_to_be_started(source, destination):
    ends_as(source, destination, "paused", paused=(False, True))


def pair_of_uuids(source, destination, here, there):
    return migration.Pair(source, destination, SIZE,
                          source_options={"uuid": here},
                          destination_options={"uuid": there})


def same_uuid(source, destination):
    with pair_of_uuids(source, destination, UUIDS[0], UUIDS[0]) as pair:
        pair.migrate(validate_uuid=True)
        pair.verify()


def uuid_at_one_side(source, destination):
    """There is nothing to compare, so that is no reason to fail."""
    with pair_of_uuids(source, destination, UUIDS[0], None) as pair:
        pair.migrate(validate_uuid=True)
        pair.verify()
    with pair_of_uuids(source, destination, None, UUIDS[0]) as pair:
        pair.migrate()
        pair.verify()


def other_uuid(source, destination):
    with pair_of_uuids(source, destination, *UUIDS) as pair:
        words = pair.expect_refusal(validate_uuid=True)
        assert UUIDS[0] in words and UUIDS[1] in words, words


def no_uuid_to_send(source, destination):
    """Ours says so at once; a QEMU sends none."""
    with migration.Pair(source, destination, SIZE) as pair:
        if source.is_qemu:
            pair.migrate(validate_uuid=True)
            pair.verify()
            return
        try:
            pair.begin(validate_uuid=True)
        except qmp.Error as error:
            assert "uuid" in error.description, error
        else:
            raise AssertionError("a uuid that is not there was sent")


def consent(source, destination, legacy):
    """With switchover-ack no side waits for what the other does not say.

    A QEMU of now asks for no consent without a device that wants to give it;
    the older protocol always has one."""
    setting = "switchover-ack-legacy=" + ("on" if legacy else "off")
    options = [
        {"options": [setting]} if not side.is_qemu else
        {"properties": ["migration." + setting]} if side.version >= (11, 1)
        else {} for side in (source, destination)]
    with migration.Pair(source, destination, SIZE, source_options=options[0],
                        destination_options=options[1]) as pair:
        pair.destination.set_capabilities(return_path=True,
                                          switchover_ack=True)
        pair.source.set_capabilities(return_path=True, switchover_ack=True)
        uri = pair.destination.listen()
        with relay.Relay(("127.0.0.1", int(uri.rsplit(":", 1)[1]))) as link:
            pair.source.migrate("tcp:127.0.0.1:%d" % link.port)
            pair.finish()
            answers = bytes(link.connections[0].backward)
        assert (SWITCHOVER_ACK in answers) == legacy, answers
        pair.verify()


def shared_memory_stays(source, destination):
    """Both sides have one file as their memory: no page of it is sent."""
    with peers.Folder(4 * SIZE) as folder:
        path, copy = folder.path("ram"), folder.path("copy")
        memory.make(path, SIZE)
        memory.make(copy, SIZE)
        with source.start(folder, "source", path, SIZE) as here, \
                destination.start(folder, "destination", path, SIZE,
                                  incoming=True) as there:
            for side in (here, there):
                side.set_capabilities(x_ignore_shared=True)
            here.set_capabilities(return_path=True)
            here.migrate(there.listen())
            info = here.wait_migration("completed")
            there.wait_migration("completed")
            assert info["ram"]["transferred"] < MIB, info
            assert info["ram"]["normal"] == 0, info
            assert there.run_state() == "running"
            here.quit()
            there.quit()
        memory.assert_equal(path, copy)


def shared_at_one_side(source, destination):
    """The two would read the stream differently, and notice."""
    with migration.Pair(source, destination, SIZE) as pair:
        words = pair.expect_refusal(x_ignore_shared=True)
        assert "x-ignore-shared" in words, words


def limit_holds(source, destination):
    """max-bandwidth, in the mean and from the first second on."""
    limit = 16_000_000
    with migration.Pair(source, destination, 4 * SIZE, "random") as pair:
        pair.source.set_parameters(max_bandwidth=limit, downtime_limit=1)
        begun = time.monotonic()
        pair.begin()
        migration.wait_bytes(pair.source, limit // 2)
        half = time.monotonic() - begun
        info = pair.finish()
        # What one side calls a second may be cut into windows by the other.
        assert 0.35 < half < 2, half
        assert info["total-time"] > 0.85e3 * 4 * SIZE / limit, info
        pair.verify()


CASES = [
    ("a guest that runs goes on", running),
    ("a guest that was stopped stays so", stopped),
    ("a guest that was never started stays so", never_started),
    ("a guest that shall not be started waits", not_to_be_started),
    ("with the same uuid", same_uuid),
    ("with a uuid at one side only", uuid_at_one_side),
    ("with another uuid", other_uuid),
    ("without a uuid", no_uuid_to_send),
    ("memory that both share stays where it is", shared_memory_stays),
    ("memory that one side thinks is shared", shared_at_one_side),
    ("max-bandwidth holds", limit_holds),
]


def main():
    suite = tap.Suite(180)
    for source, destination in migration.pairs(suite):
        name = "%s to %s: " % (source, destination)
        for words, case in CASES:
            with suite.case(name + words):
                case(source, destination)
        qemu = source if source.is_qemu else destination
        for words, legacy, since in (("switchover-ack", False, (11, 1)),
                                     ("switchover-ack-legacy", True, (8, 1))):
            if qemu.version >= since:
                with suite.case(name + words):
                    consent(source, destination, legacy)
    return suite.done()


sys.exit(main())
