#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The header is the manual: is everything in it said, in the one form?"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import headers
import tap

CONTRACT = ["Thread", "Locks", "May", "Must not", "Order", "Since"]

# From where a function may be called; nothing else may be said.
THREAD_CLASSES = {
    "any, also inside every callback; never waits",
    "any, inside callbacks only in a listener; waits for neither peer nor "
    "host",
    "any, inside callbacks only in a listener; refused with "
    "VMMIG_ERROR_BLOCKED while a session of the machine runs",
    "any that may block; never inside a callback or under the host's lock; on "
    "a host thread that was attached it serves the queue meanwhile",
    "any, inside callbacks only in a listener; refused with "
    "VMMIG_ERROR_STATE once the machine has a host thread, which its first "
    "session gives it",
    "the host thread that was attached, always the same one while a session "
    "runs",
    "the one whose callback was given @in, until it returns",
    "the one whose callback was given @out, until it returns",
}

# Rows of a table: the table says how long they are.
WITHOUT_SIZE = {"vmmig_field"}

RELEASES = {"0.1"}


def doc_complaints(declaration, parameters):
    doc = declaration.doc
    if doc is None:
        yield "has no comment"
        return
    if doc.name != declaration.name:
        yield "its comment is about %s" % doc.name
    if not doc.words.strip():
        yield "its comment says nothing"
    if list(doc.parameters) != parameters:
        yield "documents %s, has %s" % (list(doc.parameters), parameters)
    for name, words in doc.parameters.items():
        if not words:
            yield "says nothing about @" + name


def function_complaints(function):
    yield from doc_complaints(function, function.parameters)
    if function.doc is None:
        return
    sections = function.doc.sections
    returns = ["Returns"] if function.result != "void" else []
    if list(sections) != ["Thread"] + returns + ["Since"]:
        yield "has the lines %s" % list(sections)
        return
    if sections["Thread"] not in THREAD_CLASSES:
        yield "is of no known thread class: " + sections["Thread"]
    if returns and not sections["Returns"]:
        yield "does not say what it returns"
    if sections["Since"] not in RELEASES:
        yield "is of no known release: " + sections["Since"]


def callback_complaints(callback):
    yield from doc_complaints(callback, callback.parameters)
    if callback.doc is None:
        return
    sections = callback.doc.sections
    if list(sections) != CONTRACT:
        yield "has the lines %s" % list(sections)
        return
    for name, words in sections.items():
        if not words:
            yield "its line %s is empty" % name
    if sections["Since"] not in RELEASES:
        yield "is of no known release: " + sections["Since"]


def struct_complaints(struct):
    name = "struct " + struct.name
    if struct.doc is None:
        yield "has no comment"
        return
    if struct.doc.name != name:
        yield "its comment is about %s" % struct.doc.name
    plain = [one for one in struct.members if one.kind == "member"]
    named = [one.name for one in plain]
    if list(struct.doc.parameters) != named:
        yield "documents %s, has %s" % (list(struct.doc.parameters), named)
    for member, words in struct.doc.parameters.items():
        if not words:
            yield "says nothing about @" + member
    if not struct.doc.words.strip():
        yield "its comment says nothing"
    if struct.name not in WITHOUT_SIZE and named[:1] != ["struct_size"]:
        yield "does not begin with struct_size"
    for one in plain:
        if re.search(r"\b(long|int|unsigned|short|size_t|off_t|enum)\b",
                     one.code):
            yield "%s has no fixed width" % one.name


def complaints(declarations):
    """Yields (kind of thing, complaint) for everything that is amiss."""
    checks = {"function": function_complaints, "struct": struct_complaints,
              "callback": callback_complaints}
    for declaration in declarations:
        for part in [declaration] + declaration.members:
            for words in checks.get(part.kind, lambda _: ())(part):
                yield part.kind, "%s: %s" % (part, words)


def expect_none(kind, declarations):
    parts = [part for one in declarations for part in [one] + one.members
             if part.kind == kind]
    assert parts, "no %s was found at all" % kind
    found = [words for what, words in complaints(declarations) if what == kind]
    assert not found, "\n".join(found)


def expect_noticed(text, kind, old, new):
    """A checker that notices nothing would pass everything."""
    assert old in text, old
    broken = headers.declarations(text.replace(old, new, 1), "broken.h")
    assert any(what == kind for what, _ in complaints(list(broken))), \
        "nobody noticed %r for %r" % (new, old)


def constants(declarations):
    for one in declarations:
        if one.kind == "enum":
            for value in one.values:
                match = re.fullmatch(r"(VMMIG_\w+) = (\d+)", value)
                assert match, "%s: not written out: %s" % (one.path, value)
                yield match[1], int(match[2])


def recorded_constants():
    text = (headers.TOP / "tests/abi/constants.txt").read_text()
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, value = line.split()
            yield name, int(value)


def expect_constants(declarations):
    now, then = dict(constants(declarations)), dict(recorded_constants())
    assert now == then, "\n".join(
        "%s is %s in the headers, %s in constants.txt"
        % (name, now.get(name, "not"), then.get(name, "not"))
        for name in sorted(set(now) | set(then))
        if now.get(name) != then.get(name))


def expect_in_layout_table(declarations):
    """layout.c cannot see that it was not told of a struct."""
    text = (headers.TOP / "tests/abi/layout-x86_64.txt").read_text()
    recorded = {line.split()[0] for line in text.splitlines()}
    structs = {one.name for one in declarations if one.kind == "struct"}
    known = {name for name in recorded if "." not in name}
    assert structs == known, structs ^ known


def expect_plain(path):
    """No inline functions, no varargs, nothing too wide to read."""
    text = path.read_text()
    code = headers.without_comments(text)
    for word in (r"\binline\b", r"\.\.\.", r"\bstatic\b", r"<glib",
                 r":\s*\d+\s*;"):
        match = re.search(word, code)
        assert not match, "%s has %r" % (path.name, match[0])
    for number, line in enumerate(text.splitlines(), 1):
        assert len(line) <= 80, "%s:%d is too long" % (path.name, number)
    guard = "VMMIGRATE_%s_H" % path.stem.upper().replace("-", "_")
    assert "#ifndef %s\n#define %s\n" % (guard, guard) in text, guard


def expect_complete(paths):
    """Installed, and part of vmmigrate.h: each header, or none of its names
    would be found."""
    names = {path.name for path in paths}
    listed = re.findall(r"include/vmmigrate/(\S+\.h)",
                        (headers.TOP / "include/local.mk").read_text())
    assert sorted(listed) == sorted(names), set(listed) ^ names
    whole = re.findall(r"#include <vmmigrate/(\S+)>",
                       (headers.FOLDER / "vmmigrate.h").read_text())
    # A host without GLib has no use for glib.h.
    assert sorted(whole) == sorted(names - {"vmmigrate.h", "glib.h"}), whole


def main():
    suite = tap.Suite(seconds=60)
    found = headers.all_declarations()
    text = (headers.FOLDER / "host.h").read_text()

    with suite.case("every function says all that is to be known"):
        expect_none("function", found)
    with suite.case("every callback has its six lines"):
        expect_none("callback", found)
    with suite.case("every struct explains its members"):
        expect_none("struct", found)
    with suite.case("a line or a word that is missing is noticed"):
        expect_noticed(text, "callback", "* Order:    once after each lock()",
                       "*")
        expect_noticed(text, "callback", "* Locks:    none", "* Locks:")
        expect_noticed(text, "callback", "* May:      wait for the lock\n     ",
                       "")
        expect_noticed(text, "function", "never waits", "may wait")
        expect_noticed(text, "function", "* @machine:", "* @engine:")
        expect_noticed(text, "function", "* Returns:", "* Yields:")
        expect_noticed(text, "struct", "* @vcpu_version:", "* @version:")
        expect_noticed(text, "struct", "uint32_t page_bytes",
                       "long page_bytes")
    with suite.case("numbers of constants never change"):
        expect_constants(found)
    with suite.case("the table of layouts has every struct"):
        expect_in_layout_table(found)
    with suite.case("headers are plain declarations"):
        for path in headers.paths():
            expect_plain(path)
    with suite.case("vmmigrate.h and the installation have every header"):
        expect_complete(headers.paths())
    return suite.done()


if __name__ == "__main__":
    sys.exit(main())
