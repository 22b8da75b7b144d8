#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The documents say what the code says: options, threads, locks, states,
callbacks, files.

    docs.py             compares
    docs.py --update    writes the tables of docs/options.md anew
"""

import os
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parent / "abi"))
import describe
import headers
import tap

TOP = Path(os.environ.get("top_srcdir", Path(__file__).resolve().parents[1]))
PAGES = ["README", "HACKING", "CONTRIBUTING", "SECURITY", "NEWS",
         "docs/host-contract.md", "docs/options.md", "docs/states.md",
         "docs/threads.md", "docs/wire-format.md"]


def text_of(path):
    return (TOP / path).read_text()


def code_of_library():
    return {path: headers.without_comments(path.read_text())
            for path in sorted((TOP / "lib").rglob("*.[ch]"))}


def expect_equal(documented, real):
    """Both are sets, or dicts."""
    assert real, "the code has none: is it still read the right way?"
    missing = [one for one in real if one not in documented]
    stale = [one for one in documented if one not in real]
    assert not missing and not stale, \
        "not documented: %s; documented, but not there: %s" % (missing, stale)
    assert documented == real, \
        "\n".join("%s: %s is documented, %s is true" % (
            one, documented[one], real[one])
                  for one in real if documented[one] != real[one])


def rows(page, *titles):
    """The rows of the tables of a page that have these titles."""
    found, inside = [], False
    for line in text_of(page).splitlines() + [""]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif inside and not set(line) <= set("|- "):
            found.append(cells)
        elif tuple(cells) == titles:
            inside = True
    assert found, "%s has no table of %s" % (page, titles)
    return found


# -- docs/options.md


def option_value(option):
    if option.type == "bool":
        return "on, off"
    if option.type == "text":
        return "text"
    limits = "%s to %s" if int(option.maximum) < 2 ** 63 - 1 else "%s or more"
    numbers = (option.minimum, option.maximum)[:limits.count("%s")]
    return (limits % numbers + " " + option.unit).strip()


def option_tables():
    """The text between the markers, by their name."""
    lines = ["| option | value | default | fixed | |",
             "|---|---|---|---|---|"]
    for option in describe.options():
        fixed = "from %s on" % option.fixed_from if option.fixed_from else \
            "never"
        lines.append("| `%s` | %s | %s | %s | %s |" % (
            option.name, option_value(option), option.initially, fixed,
            option.help.replace("|", ", ")))
    presets = describe.presets()
    names = list(next(iter(presets.values())))
    chosen = ["| `peer` | %s |" % " | ".join("`%s`" % one for one in names),
              "|---" * (len(names) + 1) + "|"]
    for peer, values in presets.items():
        chosen.append("| `%s` | %s |" % (
            peer, " | ".join(values[one] for one in names)))
    return {"options": "\n".join(lines), "presets": "\n".join(chosen)}


def with_tables(text):
    for name, table in option_tables().items():
        pattern = r"(<!-- %s -->\n).*?(<!-- end -->)" % name
        text, count = re.subn(
            pattern, lambda found, table=table:
            found[1] + "\n" + table + "\n\n" + found[2], text, flags=re.S)
        assert count == 1, "no place for the table of " + name
    return text


def expect_options():
    text = text_of("docs/options.md")
    assert with_tables(text) == text, \
        "run tests/docs.py --update in the build folder"


def expect_peers():
    """Those that describe.c asks about are all there are."""
    choices = [option.help.rsplit(": ", 1)[1].split("|")
               for option in describe.options() if option.name == "peer"]
    assert [list(describe.presets())] == choices, choices


def expect_options_named():
    """A page that speaks of an option means one that exists."""
    known = {option.name for option in describe.options()}
    for page in PAGES:
        for name in re.findall(r"`([a-z][a-z0-9-]*)=[^`]*`", text_of(page)):
            if page != "docs/wire-format.md":
                assert name in known, "%s speaks of %s" % (page, name)


# -- docs/threads.md


def expect_threads():
    started = {name for code in code_of_library().values()
               for name in re.findall(r'"(mig/[^"]+)"', code)}
    assert all(len(name) <= 15 for name in started), started
    does = {cells[0].strip("`")
            for cells in rows("docs/threads.md", "thread", "one for each",
                              "does")}
    waits = {cells[0].strip("`") for cells in
             rows("docs/threads.md", "thread", "may wait for",
                  "what ends the wait") if cells[0]}
    expect_equal(does, started)
    expect_equal(waits, started)


def expect_locks():
    library = code_of_library()
    ranks = {name: number for name, number in re.findall(
        r"(VMMIG__RANK_\w+) = (\d+)", library[TOP / "lib/base/thread.h"])}
    real = {(ranks[rank], name) for code in library.values()
            for rank, name in re.findall(
                r'vmmig__mutex_init\([^;]*?(VMMIG__RANK_\w+),\s*"([^"]+)"',
                code)}
    documented = rows("docs/threads.md", "rank", "lock", "guards")
    expect_equal({(cells[0], cells[1].strip("`"))
                  for cells in documented if cells[1]}, real)
    expect_equal({cells[0] for cells in documented},
                 {number for name, number in ranks.items()
                  if name != "VMMIG__RANK_LEAF"} |
                 {ranks["VMMIG__RANK_LEAF"]})
    order = [int(cells[0]) for cells in documented]
    assert order == sorted(order), order


# -- docs/states.md


def words(name):
    return name.lower().replace("_", "-")


def state_tables():
    """{side: {(from, event): to}} of lib/session/states.c."""
    code = headers.without_comments(text_of("lib/session/states.c"))
    sets = dict(re.findall(r"(BEFORE_\w+)\s*=\s*([^,]+),", code))
    found = {}
    for side, body in re.findall(
            r"static const struct row (\w+)\[\] = \{(.*?)\n\};", code,
            flags=re.S):
        for states, event, state in re.findall(
                r"\{\s*(.+?),\s*VMMIG__(\w+),\s*VMMIG__(\w+)\s*\}", body):
            states = sets.get(states, states)
            for one in re.findall(r"IN\((\w+)\)", states):
                found.setdefault(side, {})[words(one), words(event)] = \
                    words(state)
    return found


def documented_states():
    page = text_of("docs/states.md")
    found = {}
    for side in ("source", "destination"):
        part = page.split("\n## The %s\n" % side)[1].split("\n## ")[0]
        for line in part.splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if line.startswith("|") and cells[0] != "from" and \
                    not set(line) <= set("|- "):
                for one in cells[0].split(", "):
                    found.setdefault(side, {})[one, cells[1]] = cells[2]
    return found


def expect_states():
    real, documented = state_tables(), documented_states()
    assert set(real) == {"source", "destination"}, real
    for side, table in real.items():
        expect_equal(documented[side], table)
    events = set(re.findall(r"^\* `([\w-]+)`:", text_of("docs/states.md"),
                            flags=re.M))
    expect_equal(events, {event for table in real.values()
                          for _, event in table})


# -- names and files


def callbacks():
    """{name} of everything that a host may give."""
    return {member.name for one in headers.all_declarations()
            if one.kind == "struct" and one.name in (
                "vmmig_host", "vmmig_device_ops", "vmmig_dirty_source")
            for member in one.members if member.kind == "callback"}


def expect_callbacks():
    page = text_of("docs/host-contract.md")
    missing = [name for name in sorted(callbacks())
               if not re.search(r"\b%s\b" % name, page)]
    assert not missing, missing


def expect_functions():
    """Every function, constant and internal name that a page mentions."""
    known = {one.name for one in headers.all_declarations()}
    known |= callbacks()
    code = "".join(code_of_library().values()) + "".join(
        path.read_text() for folder in ("include", "examples", "tests/support")
        for path in sorted((TOP / folder).rglob("*.[ch]")))
    for page in PAGES:
        if page == "docs/wire-format.md":
            continue
        text = text_of(page)
        for name in set(re.findall(r"\b(vmmig_\w+|VMMIG_\w+)\b", text)):
            assert re.search(r"\b%s" % name, code), \
                "%s speaks of %s" % (page, name)
        for name in set(re.findall(r"`(\w+)\([^`]*\)`", text)):
            assert name in known or re.search(r"\b%s\(" % name, code), \
                "%s speaks of %s()" % (page, name)


def expect_files():
    """Every path that a page mentions, by its beginning."""
    folders = r"(?:include|lib|examples|docs|tests|scripts|pkgconfig|\.ci)"
    seen = 0
    for page in PAGES:
        for path in set(re.findall(r"(?<![\w/.<-])(%s/[\w./-]*\w)" % folders,
                                   text_of(page))):
            seen += 1
            # A program has the name of its source, and what make builds by
            # the name of a library is there when the tests run.
            assert "NAME" in path or any(
                one.exists() for one in (TOP / path, TOP / (path + ".c"),
                                         describe.BUILD / path)), \
                "%s speaks of %s" % (page, path)
    assert seen > 20, "only %d paths were found" % seen


def expect_map():
    """README's map of the tree has every folder."""
    text = text_of("README").split("A map of the tree")[1]
    # In the tarball or the checkout, not what a build leaves.
    ours = [path.name for path in TOP.iterdir() if path.is_dir() and
            path.name in ("include", "lib", "examples", "docs", "tests",
                          "scripts", "pkgconfig")]
    layers = [folder for line in text_of("lib/LAYERS").splitlines()
              for folder in line.split("#")[0].split()
              if (TOP / "lib" / folder).is_dir()]
    for folder in ours + layers:
        assert re.search(r"^ +%s/" % folder, text, flags=re.M), folder
    for page in sorted((TOP / "docs").glob("*.md")):
        assert page.name in text, page.name


def expect_readable():
    for page in PAGES:
        text = text_of(page)
        assert text.endswith("\n") and not text.endswith("\n\n"), page
        if page == "docs/wire-format.md":
            continue
        for number, line in enumerate(text.splitlines(), 1):
            assert len(line) <= 80 or line.startswith("|"), \
                "%s:%d is too long" % (page, number)
            assert line == line.rstrip(), \
                "%s:%d ends in blanks" % (page, number)


def expect_news():
    """The newest entry is this version, with the headings it has always."""
    version = re.search(r"AC_INIT\(\[libvmmigrate\], \[([\d.]+)\]\)",
                        text_of("configure.ac"))[1]
    text = text_of("NEWS")
    assert re.match(r"libvmmigrate %s\n=+\n" % re.escape(version), text), \
        "NEWS does not begin with " + version
    newest = re.split(r"^libvmmigrate ", text, flags=re.M)[1]
    titles = re.findall(r"^(\w[\w ]*)\n-+$", newest, flags=re.M)
    assert titles == ["Security", "Wire", "Host contract", "API", "Fixes",
                      "Tests"], titles


def update():
    page = TOP / "docs/options.md"
    page.write_text(with_tables(page.read_text()))


def main():
    if sys.argv[1:] == ["--update"]:
        return update()
    suite = tap.Suite(seconds=60)
    for name, check in [
            ("docs/options.md has every option as it is", expect_options),
            ("every value of the option peer has its presets", expect_peers),
            ("pages speak of options that exist", expect_options_named),
            ("docs/threads.md has every thread", expect_threads),
            ("docs/threads.md has every lock, in its order", expect_locks),
            ("docs/states.md has the tables of states", expect_states),
            ("docs/host-contract.md has every callback", expect_callbacks),
            ("pages speak of functions that exist", expect_functions),
            ("pages speak of files that exist", expect_files),
            ("README's map has every folder and page", expect_map),
            ("NEWS has this version under its headings", expect_news),
            ("pages can be read in a terminal", expect_readable)]:
        with suite.case(name):
            check()
    return suite.done()


if __name__ == "__main__":
    sys.exit(main())
