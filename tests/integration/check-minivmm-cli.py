#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""minivmm's command line: what is wrong with one is said in one line."""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import peers
import tap

# Arguments, and a word that the complaint must have beside the option's name.
WRONG = [
    ("--machine pc", "kvm, soft, none"),
    ("--machine", "needs an argument"),
    ("--nonsense", "--nonsense"),
    ("--paused=yes", "--paused"),
    ("stray", "stray"),
    ("--memory lots", "lots"),
    ("--memory 0", "multiple of 4096"),
    ("--memory 1000", "1000"),
    ("--memory 1K", "1024"),
    ("--memory -1M", "-1M"),
    ("--memory 1MM", "1MM"),
    ("--memory 99999999999999999999", "9999"),
    ("--memory 16777216T", "T"),
    ("--memory 2T", "at most"),
    ("--vcpus 0", "1 to 64"),
    ("--vcpus 65", "65"),
    ("--vcpus one", "one"),
    ("--ram disk", "anon"),
    ("--ram anon --ram-file /dev/null", "--ram"),
    ("--ram-file x --ram anon", "--ram"),
    ("--machine soft --ram hugetlb --memory 1028K", "2 MiB"),
    ("--workload dance", "zipf"),
    ("--workload sweep,rate", "rate"),
    ("--workload sweep,rate=fast", "fast"),
    ("--workload sweep,write=101", "101"),
    ("--workload sweep,zero=-1", "-1"),
    ("--workload sweep,fill=water", "water"),
    ("--workload sweep,seed=x", "seed"),
    ("--workload sweep,speed=1", "speed"),
    ("--workload sweep,span=3G --memory 1G", "span"),
    ("--opaque x", "none"),
    ("--machine soft --opaque x,bytes=1", "none"),
    ("--machine none --opaque ,bytes=1", "name"),
    ("--machine none --opaque x,bytes=9999999999", "bytes"),
    ("--machine none --opaque x,instance=4294967296", "32 bits"),
    ("--machine none --opaque x,size=1", "size"),
    ("--machine none --opaque ram,bytes=1", "ram"),
    ("--machine none --opaque a,bytes=1 --opaque a,bytes=2", "a"),
    ("--serial=", "path"),
    ("--qmp tcp:localhost:1", "unix:PATH"),
    ("--qmp unix:", "unix:PATH"),
    ("--qmp unix:" + "x" * 200, "107"),
    ("--incoming nowhere", "tcp:HOST:PORT"),
    ("--incoming rdma:host:1", "rdma"),
    ("--machine soft --incoming tcp:localhost", "localhost"),
    ("--machine soft --incoming fd:x", "fd"),
    ("--migrate nowhere", "nowhere"),
    ("--migrate tcp:h:1,after=soon", "soon"),
    ("--migrate tcp:h:1 --incoming defer", "--incoming"),
    ("--migrate tcp:h:1 --paused", "--paused"),
    ("--uuid 1", "1"),
    ("--machine soft --set downtime-limit", "OPTION=VALUE"),
    ("--machine soft --set =1", "OPTION=VALUE"),
    ("--machine soft --set nonsense=1", "nonsense"),
    ("--machine soft --set downtime-limit=x", "downtime-limit"),
    ("--machine soft --set downtime-limit=99999999", "downtime-limit"),
    ("--machine soft --set return-path=perhaps", "return-path"),
    ("--machine soft --set peer=xen", "peer"),
]


def run(*arguments):
    return subprocess.run([peers.minivmm().program, *arguments],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=20, text=True,
                          check=False)


def is_refused(arguments, word):
    ended = run(*arguments)
    lines = ended.stderr.splitlines()
    assert ended.returncode == 2, (ended.returncode, ended.stderr)
    assert len(lines) == 1, ended.stderr
    assert lines[0].startswith("minivmm: "), lines[0]
    assert word in lines[0], lines[0]
    assert not ended.stdout, ended.stdout


def help_names_every_option():
    ended = run("--help")
    assert ended.returncode == 0 and not ended.stderr, ended.stderr
    for name in ("machine", "memory", "vcpus", "ram", "ram-file", "ram-id",
                 "workload", "opaque", "serial", "qmp", "incoming", "paused",
                 "uuid", "migrate", "set", "progress", "help", "version"):
        assert "\n  --%s" % name in ended.stdout, name
    assert all(len(line) <= 80 for line in ended.stdout.splitlines())


def options_are_listed():
    ended = run("--set", "help")
    assert ended.returncode == 0 and not ended.stderr, ended.stderr
    for setting in ("max-bandwidth=134217728", "downtime-limit=300",
                    "return-path=on", "peer=auto"):
        assert "\n  " + setting in "\n" + ended.stdout, setting


def ram_file_of_another_size_is_refused():
    with peers.Folder(1 << 20) as folder:
        path = folder.path("ram")
        with open(path, "wb") as ram:
            ram.write(b"precious" * 1024)
        ended = run("--machine", "soft", "--ram-file", path, "--memory", "1M")
        assert ended.returncode == 1, ended.returncode
        assert "8192" in ended.stderr and "1048576" in ended.stderr, \
            ended.stderr
        with open(path, "rb") as ram:
            assert ram.read() == b"precious" * 1024


def qmp_where_nothing_can_listen_is_an_error():
    ended = run("--machine", "soft", "--qmp", "unix:/nowhere/qmp")
    assert ended.returncode == 1, ended.returncode
    assert "/nowhere/qmp" in ended.stderr, ended.stderr


def main():
    suite = tap.Suite(seconds=120)
    for arguments, word in WRONG:
        with suite.case("refused: %s" % arguments[:70]):
            is_refused(arguments.split(), word)
    for check in (help_names_every_option, options_are_listed,
                  ram_file_of_another_size_is_refused,
                  qmp_where_nothing_can_listen_is_an_error):
        with suite.case(check.__name__.replace("_", " ")):
            check()
    return suite.done()


if __name__ == "__main__":
    sys.exit(main())
