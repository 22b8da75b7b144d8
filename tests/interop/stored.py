#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Streams that ours stored are read by a reader that knows the format only,
as a tool does, and loaded by every QEMU; and the other way round."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import guests
import memory
import migration
import peers
import stream
import tap
from memory import MIB, PAGE_SIZE

SIZE = 5 * MIB + 7 * PAGE_SIZE
UUID = "550e8400-e29b-41d4-a716-446655440000"


def store(side, folder, uri, **options):
    """Runs a guest's memory into uri; leaves it in source.ram."""
    path = folder.path("source.ram")
    memory.make(path, SIZE)
    with side.start(folder, "source", path, SIZE, **options) as machine:
        machine.migrate(uri)
        machine.wait_migration("completed")
        machine.quit()


def load(side, folder, transport):
    stored = folder.path("stored")
    assert stream.read_file(stored).sections
    uri = ("exec:cat " if transport == "exec" else "file:") + stored
    path = folder.path("destination.ram")
    memory.make_empty(path, SIZE)
    with side.start(folder, "destination", path, SIZE,
                    incoming=True) as machine:
        machine.qmp("migrate-incoming", {"uri": uri})
        machine.wait_migration("completed")
        machine.quit()
    memory.assert_equal(folder.path("source.ram"), path)


def sections_are_those_of(ours, theirs):
    """The same devices in the same order with bodies of the same length."""
    def outline(stored):
        return [(section.kind, section.name, section.instance,
                 section.version, section.body and len(section.body))
                for section in stored.sections if section.kind != stream.PART]
    assert ours.machine == theirs.machine, ours.machine
    assert outline(ours) == outline(theirs), (outline(ours), outline(theirs))


def is_read_strictly(ours, qemus, folder, uri, path):
    store(ours, folder, uri)
    stored = stream.read_file(path)
    with open(folder.path("source.ram"), "rb") as contents:
        assert stored.blocks["mem"] == contents.read()
    # No way back: nobody is asked anything.
    assert stored.commands == [], stored.commands
    for qemu in qemus:
        with peers.Folder(3 * SIZE) as other:
            store(qemu, other, "exec:cat >" + other.path("stream"))
            sections_are_those_of(
                stored, stream.read_file(other.path("stream")))


def guest_is_read_strictly(machine, prefix):
    """A whole guest, with all that its machine has."""
    guests.need(machine)
    with peers.Folder(64 * MIB) as folder:
        ram, path = folder.path("ram"), folder.path("stored")
        memory.make(ram, 16 * MIB)
        with guests.Guest(folder, "source", machine=machine, memory=16,
                          options=["validate-uuid=on"],
                          arguments=["--ram-file", ram, "--uuid", UUID]
                          ) as source:
            source.wait_filled()
            source.migrate(prefix + path)
            source.wait_migration("completed")
            source.quit()
        stored = stream.read_file(path)
        with open(ram, "rb") as contents:
            assert stored.blocks["ram"] == contents.read()
    assert stored.machine == "minivmm-" + machine, stored.machine
    assert stored.configuration == {
        "configuration/uuid": bytes.fromhex(UUID.replace("-", ""))}
    assert stored.commands == [], stored.commands
    devices = {(section.name, section.instance): section.fields
               for section in stored.sections if section.kind == stream.FULL}
    assert devices["globalstate", 0]["runstate"].rstrip(b"\0") == b"running"
    if machine == "soft":
        assert devices["minivmm-soft", 0]["clock"]["clock_ns"] > 0, devices
    else:
        assert ("vmmigrate/vcpu", 1) in devices, list(devices)


def begin_of_the_switch_is_read(folder):
    """The only command that a stored stream may have."""
    store(peers.minivmm(), folder, "file:" + folder.path("stored"),
          options=["peer=qemu-11"])
    stored = stream.read_file(folder.path("stored"))
    assert stored.commands == [("SWITCHOVER_START", b"")], stored.commands


def carries_opaque_sections(ours, qemu, folder):
    """Sections whose content ours does not know leave it as they came."""
    sections = migration.sections_of(qemu)
    store(qemu, folder, "exec:cat >" + folder.path("first"), writable=True)
    path = folder.path("between.ram")
    memory.make_empty(path, SIZE)
    with ours.start(folder, "between", path, SIZE, incoming=True,
                    opaque=sections) as machine:
        machine.qmp("migrate-incoming",
                    {"uri": "file:" + folder.path("first")})
        machine.wait_migration("completed")
        machine.migrate("file:" + folder.path("second"))
        machine.wait_migration("completed")
        machine.quit()
    first, second = (
        {(section.name, section.instance): section.body
         for section in stream.read_file(folder.path(name)).sections
         if section.kind == stream.FULL and section.name not in
         ("timer", "globalstate")}
        for name in ("first", "second"))
    assert first and first == second, (list(first), list(second))


def main():
    suite = tap.Suite(120)
    ours = peers.minivmm()
    qemus, reasons = peers.qemus()
    for name, why in reasons:
        suite.skip("%s and minivmm" % name, why)
    for prefix in ("file:", "exec:cat >"):
        with peers.Folder(6 * SIZE) as folder:
            path = folder.path("stored")
            name = "minivmm, stored by %s: " % prefix.split(":")[0]
            with suite.case(name + "is read strictly"):
                is_read_strictly(ours, qemus, folder, prefix + path, path)
            for qemu in qemus:
                with suite.case(name + "%s loads it by exec" % qemu):
                    load(qemu, folder, "exec")
                if qemu.has_file_transport():
                    with suite.case(name + "%s loads it by file" % qemu):
                        load(qemu, folder, "file")
            with suite.case(name + "minivmm loads it"):
                load(ours, folder, "file")
        for machine in ("soft", "kvm"):
            with suite.case(name + "a guest of %s is read strictly"
                            % machine):
                guest_is_read_strictly(machine, prefix)
    with peers.Folder(6 * SIZE) as folder, \
            suite.case("minivmm, stored: the begin of the switch is read"):
        begin_of_the_switch_is_read(folder)
    for qemu in qemus:
        with peers.Folder(6 * SIZE) as folder:
            path = folder.path("stored")
            with suite.case("%s, stored: minivmm loads it" % qemu):
                store(qemu, folder, "exec:cat >" + path)
                load(ours, folder, "exec")
                load(ours, folder, "file")
        with peers.Folder(6 * SIZE) as folder, \
                suite.case("minivmm keeps what %s sent" % qemu):
            carries_opaque_sections(ours, qemu, folder)
    return suite.done()


sys.exit(main())
