#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Folders of lib/ are layers: who may include whom is lib/LAYERS' to say."""

import os
import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "support"))
import tap

TOP = Path(os.environ.get("top_srcdir", Path(__file__).resolve().parents[1]))
CODE = {".c", ".h", ".S", ".def"}


def ranks(lib):
    """{folder: number of its line}"""
    lines = [line.split("#")[0].split()
             for line in (lib / "LAYERS").read_text().splitlines()]
    return {folder: rank for rank, line in enumerate(filter(None, lines))
            for folder in line}


def sources(lib):
    return sorted(path for path in lib.rglob("*") if path.suffix in CODE)


def complaints(lib):
    rank = ranks(lib)
    seen = {}
    for path in sources(lib):
        name = path.relative_to(lib)
        folder = name.parts[0]
        if len(name.parts) != 2 or folder not in rank:
            yield "%s is in no folder of LAYERS" % name
            continue
        # A file's name is how people and messages speak of it.
        other = seen.setdefault(name.name, name)
        if other != name:
            yield "%s has the same name as %s" % (name, other)
        text = path.read_text()
        for included in re.findall(r'^\s*#\s*include\s*"([^"]+)"', text,
                                   flags=re.M):
            if included == "config.h":
                continue
            theirs = included.split("/")[0]
            if "/" not in included or theirs not in rank:
                yield '%s includes "%s", which is in no layer' % (name,
                                                                  included)
            elif not (lib / included).is_file():
                yield '%s includes "%s", which is not there' % (name, included)
            elif theirs != folder and rank[theirs] >= rank[folder]:
                yield '%s includes "%s", which is not below it' % (name,
                                                                   included)


def expect_noticed(files, words):
    with tempfile.TemporaryDirectory() as folder:
        lib = Path(folder)
        (lib / "LAYERS").write_text("# bottom first\nbase\nwire ram\ntop\n")
        for name, text in {"base/a.h": "", "wire/b.h": "", **files}.items():
            (lib / name).parent.mkdir(exist_ok=True)
            (lib / name).write_text(text)
        found = list(complaints(lib))
        assert [words] == found, found


def main():
    suite = tap.Suite(seconds=60)
    with suite.case("each file includes its own layer and those below"):
        assert len(sources(TOP / "lib")) > 1, "there are no files"
        found = list(complaints(TOP / "lib"))
        assert not found, "\n".join(found)
    with suite.case("what breaks the order is noticed"):
        expect_noticed({"base/c.c": '#include "wire/b.h"\n'},
                       'base/c.c includes "wire/b.h", which is not below it')
        expect_noticed({"ram/c.c": '# include "wire/b.h"\n'},
                       'ram/c.c includes "wire/b.h", which is not below it')
        expect_noticed({"top/c.c": '#include "a.h"\n'},
                       'top/c.c includes "a.h", which is in no layer')
        expect_noticed({"top/c.c": '#include "base/x.h"\n'},
                       'top/c.c includes "base/x.h", which is not there')
        expect_noticed({"else/c.c": ""}, "else/c.c is in no folder of LAYERS")
        expect_noticed({"top/b.h": ""},
                       "wire/b.h has the same name as top/b.h")
    return suite.done()


if __name__ == "__main__":
    sys.exit(main())
