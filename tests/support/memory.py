# SPDX-License-Identifier: LGPL-2.1-or-later
"""Files that are a guest's memory: making them, and comparing two."""

import itertools
import os
import random
import struct

PAGE_SIZE = 4096
MIB = 1 << 20
CONTENTS = ("random", "zero", "text", "mixed")

_WORDS = (b"page", b"round", b"guest", b"channel", b"memory", b"stream",
          b"the", b"of", b"and", b"zero", b"dirty", b"source")


def _random_pages(generator, count):
    return generator.randbytes(count * PAGE_SIZE)


def _text_pages(generator, count):
    words = b" ".join(generator.choices(_WORDS, k=4096)) + b"\n"
    size = count * PAGE_SIZE
    return (words * (size // len(words) + 1))[:size]


def _piece(generator, content, count):
    if content == "random":
        return _random_pages(generator, count)
    if content == "text":
        return _text_pages(generator, count)
    if content == "zero":
        return bytes(count * PAGE_SIZE)
    # Mixed: runs of each kind, and pages that are zero but for one byte.
    pieces = []
    while count:
        run = min(count, generator.choice((1, 1, 2, 7, 33, 64)))
        kind = generator.choice(("random", "text", "zero", "zero", "almost"))
        if kind == "almost":
            for _ in range(run):
                page = bytearray(PAGE_SIZE)
                page[generator.choice((0, 1, 2047, 4088, 4095))] = 1
                pieces.append(bytes(page))
        else:
            pieces.append(_piece(generator, kind, run))
        count -= run
    return b"".join(pieces)


def make(path, size, content="mixed", seed=1):
    """A file of size bytes; every page of random or text is unlike all others,
    so that none can arrive in another's place unnoticed."""
    assert size % PAGE_SIZE == 0 and content in CONTENTS
    generator = random.Random(seed)
    with open(path, "wb") as memory:
        if content == "zero":
            memory.truncate(size)
            return
        # Making random bytes is slow, so a piece is used again and again and
        # only numbered anew. Zero pages and almost zero ones stay as they are.
        pattern = bytearray(_piece(generator, content, min(size, 8 * MIB)
                                   // PAGE_SIZE))
        numbered = [at for at in range(0, len(pattern), PAGE_SIZE)
                    if pattern[at + 8:at + 64].strip(b"\0")]
        number = itertools.count(seed << 32)
        for begin in range(0, size, len(pattern)):
            for at in numbered:
                struct.pack_into(">Q", pattern, at, next(number))
            memory.write(pattern[:size - begin])


def make_empty(path, size):
    """Where memory is going to arrive: not zero, so that a zero page that is
    not written shows."""
    with open(path, "wb") as memory:
        for begin in range(0, size, MIB):
            memory.write(b"\xa5" * min(MIB, size - begin))


def first_difference(path, other):
    """None, or the offset of the first page that differs."""
    size = os.path.getsize(path)
    if size != os.path.getsize(other):
        return min(size, os.path.getsize(other))
    with open(path, "rb") as left_file, open(other, "rb") as right_file:
        left = right = b""
        for begin in range(0, size, 4 * MIB):
            left, right = left_file.read(4 * MIB), right_file.read(4 * MIB)
            if left != right:
                for at in range(0, len(left), PAGE_SIZE):
                    if left[at:at + PAGE_SIZE] != right[at:at + PAGE_SIZE]:
                        return begin + at
    return None


def assert_equal(path, other):
    at = first_difference(path, other)
    if at is not None:
        raise AssertionError("memory differs first at 0x%x (page %d)"
                             % (at, at // PAGE_SIZE))
