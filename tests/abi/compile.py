#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each public header by itself, for C and C++, with and without GLib's.

A host may include any one of them first; it may be C99 or C++17, and warn about
everything.
"""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import headers
import tap

WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wundef", "-Werror"]

# What the macros of device.h make of a struct that has some of everything.
MACROS = """
#include <vmmigrate/vmmigrate.h>
struct port { uint8_t line; bool irq; };
struct uart { uint8_t ier, fifo[16]; uint16_t divisor; struct port ports[2]; };
extern const struct vmmig_layout uart_layout;
static bool needed(const void *device) { return device != NULL; }
static const struct vmmig_field port_fields[] = {
    VMMIG_FIELD(VMMIG_U8, struct port, line),
    VMMIG_FIELD_SINCE(2, VMMIG_BOOL, struct port, irq),
};
static const struct vmmig_layout port_layout =
    VMMIG_LAYOUT(2, 1, port_fields);
static const struct vmmig_field divisor_fields[] = {
    VMMIG_FIELD(VMMIG_U16, struct uart, divisor),
};
static const struct vmmig_layout divisor_layout =
    VMMIG_SUBSECTION("uart/divisor", 1, 1, divisor_fields, needed);
static const struct vmmig_layout *const extras[] = { &divisor_layout };
static const struct vmmig_field uart_fields[] = {
    VMMIG_FIELD(VMMIG_U8, struct uart, ier),
    VMMIG_FIELD_UNUSED(3),
    VMMIG_FIELD(VMMIG_U8, struct uart, fifo),
    VMMIG_FIELD_STRUCT(struct uart, ports[0], &port_layout),
    VMMIG_FIELD_STRUCT(struct uart, ports[1], &port_layout),
};
const struct vmmig_layout uart_layout =
    VMMIG_LAYOUT_EXTENDED(1, 1, uart_fields, extras);
extern const int64_t uart_timeout_ms;
const int64_t uart_timeout_ms = VMMIG_FOREVER;
"""


def works(command):
    """Whether this is a compiler that has a C++17 and its library."""
    if shutil.which(command[0]) is None:
        return False
    flags = ["-std=c++17", "-fsyntax-only", "-x", "c++", "-"]
    return subprocess.run(command + flags, text=True,
                          input="#include <cstdint>\n", capture_output=True,
                          check=False).returncode == 0


def find_cxx():
    named = os.environ.get("CXX")
    for command in [named] if named else ["c++", "g++", "clang++"]:
        if works(shlex.split(command)):
            return shlex.split(command)
    return None


def expect_compiles(command, text):
    done = subprocess.run(command + ["-"], input=text, text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, "%s\n%s" % (shlex.join(command), done.stderr)


def glib_flags():
    """As system headers: their warnings are not ours."""
    flags = os.environ.get("GLIB_CFLAGS")
    if flags is None:
        flags = subprocess.run(["pkg-config", "--cflags", "glib-2.0"],
                               text=True, stdout=subprocess.PIPE,
                               check=True).stdout
    return ["-isystem" + flag[2:] if flag.startswith("-I") else flag
            for flag in shlex.split(flags)]


def check(suite, name, command):
    ours = ["-I%s" % (headers.TOP / "include")]
    glib = "#include <glib.h>\n"
    # On 64 bits the compiler itself finds padding that nobody wrote down.
    padding = ["-Wpadded"] if sys.maxsize > 2 ** 32 else []
    flags = ["-pedantic", "-fsyntax-only"] + WARNINGS + ours
    for path in headers.paths():
        line = "#include <vmmigrate/%s>\n" % path.name
        with suite.case("%s: %s alone" % (name, path.name)):
            expect_compiles(command + flags + padding, line + line)
        with suite.case("%s: %s before and after GLib" % (name, path.name)):
            expect_compiles(command + flags + glib_flags(), line + glib)
            expect_compiles(command + flags + glib_flags(), glib + line)
    with suite.case("%s: macros of layouts" % name):
        expect_compiles(command + flags, MACROS)


def main():
    suite = tap.Suite(seconds=120)
    cc = shlex.split(os.environ.get("CC", "cc"))
    check(suite, "C99", cc + ["-std=c99", "-Wstrict-prototypes", "-x", "c"])
    cxx = find_cxx()
    if cxx:
        check(suite, "C++17", cxx + ["-std=c++17", "-x", "c++"])
    else:
        suite.skip("C++17", "there is no C++ compiler")
    return suite.done()


if __name__ == "__main__":
    sys.exit(main())
