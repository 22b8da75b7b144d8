#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory of any content and size arrives whole, from and at a QEMU."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import memory
import migration
import tap
from memory import MIB, PAGE_SIZE

SMALL = 8 * MIB

# Content and size; the last but one of each kind is no power of two.
MEMORIES = [(content, SMALL) for content in memory.CONTENTS] + [
    ("mixed", 13 * MIB + 3 * PAGE_SIZE),
    ("text", 128 * MIB),
    ("mixed", 200 * MIB - PAGE_SIZE),
    ("random", 1024 * MIB),
]


def figures_are_true(info, size, content):
    """What a side tells about a migration fits what was migrated."""
    ram, pages = info["ram"], size // PAGE_SIZE
    assert ram["total"] == size, ram
    assert ram["remaining"] == 0, ram
    assert ram["page-size"] == PAGE_SIZE, ram
    assert ram["normal"] + ram["duplicate"] >= pages, ram
    assert ram["transferred"] >= ram["normal"] * PAGE_SIZE, ram
    assert ram["dirty-sync-count"] >= 1, ram
    assert info["total-time"] >= info["downtime"] >= 0, info
    if content == "zero":
        assert ram["duplicate"] >= pages and ram["normal"] == 0, ram
        assert ram["transferred"] < size // 64, ram
    if content in ("random", "text"):
        assert ram["duplicate"] == 0, ram


def memory_arrives(source, destination, content, size):
    with migration.Pair(source, destination, size, content) as pair:
        pair.source.set_parameters(**migration.FAST)
        figures_are_true(pair.migrate(), size, content)
        pair.verify()


def memory_arrives_without_an_answer(source, destination):
    with migration.Pair(source, destination, SMALL) as pair:
        pair.migrate(return_path=False)
        pair.verify()


def memory_arrives_in_the_dialect_of(qemu, source, destination):
    """With our side told by name which QEMU it meets."""
    options = {"options": ["peer=" + qemu.preset]}
    with migration.Pair(
            source, destination, SMALL,
            source_options={} if source.is_qemu else options,
            destination_options=options if source.is_qemu else {}) as pair:
        pair.migrate()
        pair.verify()


def main():
    suite = tap.Suite(300)
    for source, destination in migration.pairs(suite):
        name = "%s to %s: " % (source, destination)
        for content, size in MEMORIES:
            with suite.case(name + "%s, %d pages"
                            % (content, size // PAGE_SIZE)):
                memory_arrives(source, destination, content, size)
        with suite.case(name + "without a return path"):
            memory_arrives_without_an_answer(source, destination)
        qemu = source if source.is_qemu else destination
        with suite.case(name + "peer=" + qemu.preset):
            memory_arrives_in_the_dialect_of(qemu, source, destination)
    return suite.done()


sys.exit(main())
