# SPDX-License-Identifier: LGPL-2.1-or-later
"""minivmm with a guest that checks its own memory.

    with guests.Guest(folder, "source", machine="soft") as source: ...

For peers.Machine without a memory file: the guest itself tells whether what
arrived is what left.
"""

import os

import peers
import tap

MIB = 1 << 20


class Guest(peers.Machine):
    def __init__(self, folder, name, *, machine, incoming=False, memory=32,
                 vcpus=2, workload="sweep,rate=32M", options=(), arguments=(),
                 descriptors=()):
        """memory is in MiB. A machine that waits gets the workload as well,
        for the machine none does not get it from the source."""
        super().__init__(peers.minivmm(), folder, name, None, memory * MIB)
        self.serial = self._stem + ".serial"
        command = [self.flavour.program, "--machine", machine,
                   "--memory", str(memory * MIB), "--vcpus", str(vcpus),
                   "--workload", workload, "--serial", self.serial,
                   "--qmp", "unix:" + self.qmp_path, *arguments]
        if incoming:
            command += ["--incoming", "defer"]
        for option in options:
            command += ["--set", option]
        self._launch(command, descriptors)

    def query(self):
        return self.qmp("x-query-guest")

    def wait_passes(self, count, seconds=30):
        """Waits until the guest has been through its memory so often."""
        def reached():
            guest = self.query()
            assert guest["errors"] == 0, "%s: %s\n%s" % (
                self.name, guest, peers.last_lines(self.serial))
            return guest if guest["passes"] >= count else None
        return tap.wait_until(reached, seconds,
                              "%s: %d passes" % (self.name, count))

    def check_runs(self):
        """The guest runs here, finds nothing wrong, and gets on."""
        assert self.run_state() == "running", (self.name, self.run_state())
        self.wait_passes(self.query()["passes"] + 1)

    def check_stands(self):
        """The guest does not run here."""
        assert not self.qmp("query-status")["running"], self.name
        before = self.query()
        after = self.query()
        assert before == after, (self.name, before, after)

    def wait_filled(self, seconds=30):
        tap.wait_until(lambda: self.query()["filled"], seconds,
                       "%s: memory filled" % self.name)

    def take_statuses(self, last):
        """What MIGRATION events said, up to the status `last`."""
        statuses = []
        while not statuses or statuses[-1] != last:
            statuses.append(
                self.qmp.wait_event("MIGRATION")["data"]["status"])
        return statuses


def need(machine):
    """Skips where this machine cannot be."""
    if machine == "kvm" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise tap.Skip("/dev/kvm cannot be used")
