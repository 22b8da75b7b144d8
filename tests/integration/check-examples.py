#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The examples, and the one that README prints, do what they say."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import describe
import tap

BUILD = Path(os.environ.get("top_builddir", "."))
SECONDS = 60


class Program:
    """One that is killed with the case that started it."""

    def __init__(self, *command):
        self.name = Path(command[0]).name
        self.process = subprocess.Popen(
            command, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def address(self):
        """Where it says that it waits."""
        line = self.process.stdout.readline()
        found = re.fullmatch(r"waiting on (tcp:127\.0\.0\.1:[1-9]\d*)\n", line)
        assert found, "%s: %r %s" % (self.name, line,
                                     self.process.stderr.read())
        return found[1]

    def end(self, status=0):
        """What it still printed."""
        output, errors = self.process.communicate(timeout=SECONDS)
        assert self.process.returncode == status, \
            "%s ended with %d: %s%s" % (self.name, self.process.returncode,
                                        output, errors)
        return output if status == 0 else errors


def number(pattern, text):
    found = re.fullmatch(pattern, text)
    assert found, text
    return int(found[1])


def expect_minimal():
    with Program(BUILD / "examples/minimal-destination",
                 "tcp:127.0.0.1:0") as there, \
            Program(BUILD / "examples/minimal-source",
                    there.address()) as here:
        left = number(r"the guest left at (\d+)\n", here.end())
        until = number(r"the guest ran here until (\d+); its memory is "
                       r"whole\n", there.end())
    assert until > left > 0, (left, until)


def expect_readme():
    program = BUILD / "tests/integration/readme-example"
    with Program(program) as there, \
            Program(program, there.address()) as here:
        left = number(r"left at (\d+)\n", here.end())
        until = number(r"arrived, and counted to (\d+)\n", there.end())
    assert until >= left > 0, (left, until)


def expect_failure():
    with tempfile.TemporaryDirectory() as folder:
        path = "unix:%s/nobody" % folder
        with Program(BUILD / "examples/minimal-source", path) as here:
            words = here.end(1)
    assert words == "send: connecting to %s: no such file or directory\n" % \
        path, words


def main():
    suite = tap.Suite(seconds=4 * SECONDS)
    tracked = [
        ("minimal-source and minimal-destination move a guest",
         expect_minimal),
        ("minimal-source says in a line why it failed", expect_failure),
        ("the program that README prints moves a guest", expect_readme),
    ]
    for name, check in tracked:
        with suite.case(name):
            if not describe.supports("track-writes"):
                raise tap.Skip("the kernel does not say which pages were "
                               "written; 6.7 or newer does")
            check()
    with suite.case("live-device moves a flash that is being programmed"):
        with Program(BUILD / "examples/live-device") as program:
            assert program.end().endswith("the devices are whole\n")
    return suite.done()


if __name__ == "__main__":
    sys.exit(main())
