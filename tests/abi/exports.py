#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The headers, lib/vmmigrate.map and the library name the same functions."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import headers
import tap

NODE = r"(VMMIGRATE_[\d.]+) \{(.*?)\}\s*(VMMIGRATE_[\d.]+)?;"


def mapped():
    """{function: node} of the map."""
    text = (headers.TOP / "lib/vmmigrate.map").read_text()
    text = headers.without_comments(text)
    nodes = re.findall(NODE, text, flags=re.S)
    assert nodes and not re.sub(NODE, "", text, flags=re.S).strip(), text
    # Only the first node hides what is not listed.
    assert re.search(r"local:\s*\*;\s*$", nodes[0][1]), nodes[0][1]
    found = {}
    for node, body, _ in nodes:
        names = re.findall(r"(\w+);", body.split("local:")[0])
        assert names, node + " is empty"
        for name in names:
            assert name not in found, name + " is listed twice"
            found[name] = node
    return found


def exported():
    """{function: node} of the library."""
    library = Path(os.environ.get("top_builddir", ".")) / \
        ".libs/libvmmigrate.so.0"
    nm = shlex.split(os.environ.get("NM", "nm"))
    text = subprocess.run(nm + ["-D", "--defined-only", str(library)],
                          text=True, stdout=subprocess.PIPE,
                          check=True).stdout
    found = {}
    for line in text.splitlines():
        kind, symbol = line.split()[-2:]
        name, _, node = symbol.replace("@@", "@").partition("@")
        if kind == "A":   # the node itself
            continue
        assert kind == "T", "%s is no function, but %s" % (symbol, kind)
        found[name] = node
    return found


def expect_same(ours, theirs, where):
    assert ours, "nothing was found"
    assert ours == theirs, "\n".join(
        "%s: %s" % (name, "only in " + where if name in theirs
                    else "not in " + where)
        for name in sorted(set(ours) ^ set(theirs))) or "versions differ"


def main():
    suite = tap.Suite(seconds=60)
    declared = {one.name for one in headers.all_declarations()
                if one.kind == "function"}
    with suite.case("the map lists what the headers declare"):
        expect_same(declared, set(mapped()), "the map")
    with suite.case("the library exports what the map lists, no more"):
        expect_same(mapped(), exported(), "the library")
    return suite.done()


if __name__ == "__main__":
    sys.exit(main())
