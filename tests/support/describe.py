# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the library says of itself (tests/support/describe.c)."""

import os
import subprocess
from collections import namedtuple
from pathlib import Path

BUILD = Path(os.environ.get("top_builddir", "."))

Option = namedtuple("Option", "name type minimum maximum unit initially "
                              "fixed_from help")


def _lines(kind):
    text = subprocess.run([BUILD / "tests/support/describe"], check=True,
                          text=True, stdout=subprocess.PIPE).stdout
    for line in text.splitlines():
        first, *rest = line.split("\t")
        if first == kind:
            yield rest


def options():
    return [Option(*parts) for parts in _lines("option")]


def supports(feature):
    features = dict(_lines("feature"))
    return features[feature] == "yes"


def presets():
    """{peer: {option: value}}"""
    found = {}
    for peer, option, value in _lines("preset"):
        found.setdefault(peer, {})[option] = value
    return found
