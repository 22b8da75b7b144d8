#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory that is written while it moves arrives as it was at the stop."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import migration
import tap
from memory import MIB, PAGE_SIZE

SIZE = 8 * MIB
ROUNDS = 4

# Pages a second: all of them, five times all, as many as can be.
PACES = [("slowly", 2000), ("fast", 10000), ("without a pause", 1 << 30)]


def written_by_qtest(source, destination, pages_per_second):
    """A QEMU's memory is written from outside, up to and after its stop."""
    with migration.Pair(source, destination, SIZE, writable=True) as pair:
        info = migration.with_writes(pair, ROUNDS, pages_per_second)
        assert info["ram"]["dirty-sync-count"] >= ROUNDS, info
        pair.verify()


def written_by_workload(source, destination, pages_per_second):
    """Ours writes by itself, until the library stops it for the switch."""
    rate = min(pages_per_second * PAGE_SIZE, 8 << 30)
    workload = {"workload": "random,rate=%d" % rate}
    with migration.Pair(source, destination, SIZE,
                        source_options=workload) as pair:
        pair.source.set_parameters(
            **migration.slow(min(rate // 2, 20_000_000)))
        pair.begin()
        if pair.source.wait_rounds(ROUNDS) < ROUNDS:
            raise migration.TooFast("it stopped after too few rounds")
        pair.source.set_parameters(**migration.FAST)
        info = pair.finish()
        assert info["ram"]["dirty-sync-count"] >= ROUNDS, info
        pages = info["ram"]["normal"] + info["ram"]["duplicate"]
        assert pages > SIZE // PAGE_SIZE, "no page was sent twice"
        pair.verify()


def main():
    suite = tap.Suite(180)
    for source, destination in migration.pairs(suite):
        write = written_by_qtest if source.is_qemu else written_by_workload
        for words, pages_per_second in PACES:
            with suite.case("%s to %s: written %s"
                            % (source, destination, words)):
                migration.insist(lambda: write(source, destination,
                                               pages_per_second))
    return suite.done()


sys.exit(main())
