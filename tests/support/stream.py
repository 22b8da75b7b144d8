# SPDX-License-Identifier: LGPL-2.1-or-later
"""A strict reader of stored migration streams, independent of the library.

It was written from the format alone and shares no code with what it checks.
Device sections carry no length; like any tool that reads a stored stream it
finds the VM description at the end of the file first, and takes each length
from there. Everything that a well-behaved sender would not write is an error,
also where QEMU would let it pass.

    stream = stream.read(data)
    stream.blocks["mem"]        the memory as it would be after loading
    stream.sections             what was there, in order
"""

import json
import struct

PAGE_SIZE = 4096

EOF, START, PART, END, FULL, SUBSECTION, VMDESC, CONFIGURATION, COMMAND = \
    range(9)
FOOTER = 0x7e

ZERO, MEM_SIZE, PAGE, EOS, CONTINUE, XBZRLE = 2, 4, 8, 0x10, 0x20, 0x40

# Number: name and length of the payload.
COMMANDS = {1: ("OPEN_RETURN_PATH", 0), 2: ("PING", 4),
            11: ("SWITCHOVER_START", 0)}

FIELD_KEYS = {"name", "type", "size", "index", "array_len", "struct",
              "version", "vmsd_name", "fields", "subsections"}


class Malformed(Exception):
    """The stream is not what the format says; names the offset."""


class Section:
    def __init__(self, kind, number, name, instance, version, body):
        self.kind, self.number, self.name = kind, number, name
        self.instance, self.version, self.body = instance, version, body


class _Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def fail(self, words):
        raise Malformed("offset 0x%x: %s" % (self.at, words))

    def take(self, count):
        if self.at + count > len(self.data):
            self.fail("%d more bytes wanted, the stream ends" % count)
        piece = self.data[self.at:self.at + count]
        self.at += count
        return piece

    def number(self, count):
        return int.from_bytes(self.take(count), "big")

    def name(self):
        """A string with its length in one byte before it."""
        length = self.number(1)
        if length == 0:
            self.fail("an empty name")
        return self.take(length).decode("ascii")

    def expect(self, count, wanted, what):
        got = self.number(count)
        if got != wanted:
            self.at -= count
            self.fail("%s is 0x%x, not 0x%x" % (what, got, wanted))


class Stream:
    def __init__(self):
        self.machine = None
        self.configuration = {}
        self.commands = []
        self.sections = []
        self.blocks = {}
        self.description = {}
        self.pages = self.zero_pages = self.rounds = 0


def _find_description(data):
    """(offset of the 06 before it, the JSON), which must end the stream."""
    for at in range(len(data) - 5, 0, -1):
        if data[at] == VMDESC and data[at - 1] == EOF and \
                struct.unpack_from(">I", data, at + 1)[0] == len(data) - at - 5:
            try:
                description = json.loads(data[at + 5:].decode())
            except ValueError:
                continue
            if isinstance(description, dict):
                return at, description
    raise Malformed("no VM description at the end")


def _described_length(described, where):
    """Bytes of a section or structure: its fields, then its subsections."""
    length = 0
    for field in described["fields"]:
        unknown = set(field) - FIELD_KEYS
        if unknown:
            raise Malformed("%s: a field has unknown keys %s"
                            % (where, sorted(unknown)))
        for key, kind in (("name", str), ("type", str), ("size", int)):
            if not isinstance(field.get(key), kind):
                raise Malformed("%s: field %r has no %s"
                                % (where, field.get("name"), key))
        length += field["size"] * field.get("array_len", 1)
        if field["type"] == "struct":
            inner = field["struct"]
            wanted = _described_length(inner, where + "/" + field["name"])
            if wanted != field["size"]:
                raise Malformed("%s: structure %s says %d bytes and has %d" % (
                    where, field["name"], field["size"], wanted))
    for inner in described.get("subsections", ()):
        length += 6 + len(inner["vmsd_name"]) + \
            _described_length(inner, inner["vmsd_name"])
    return length


def _device_length(device, where):
    if "size" in device and "vmsd_name" not in device:
        fields = device["fields"]
        if [field["name"] for field in fields] != ["data"] or \
                fields[0]["size"] != device["size"]:
            raise Malformed("%s: not the description of an opaque section"
                            % where)
        return device["size"]
    for key in ("vmsd_name", "version", "fields"):
        if key not in device:
            raise Malformed("%s: description without %s" % (where, key))
    return _described_length(device, where)


def _check_subsections(body, described, where):
    """The subsections that are described stand at the end of the body."""
    at = sum(field["size"] * field.get("array_len", 1)
             for field in described["fields"])
    for inner in described.get("subsections", ()):
        name = inner["vmsd_name"].encode()
        mark = bytes([SUBSECTION, len(name)]) + name + \
            struct.pack(">I", inner["version"])
        if body[at:at + len(mark)] != mark:
            raise Malformed("%s: subsection %s is not at byte %d"
                            % (where, inner["vmsd_name"], at))
        length = _described_length(inner, where)
        _check_subsections(body[at + len(mark):at + len(mark) + length],
                           inner, where)
        at += len(mark) + length


class _Ram:
    """The body of the sections called ram, version 4."""

    def __init__(self, stream, reader):
        self.stream, self.reader = stream, reader
        self.block = None
        self.listed = False

    def read(self, kind):
        reader = self.reader
        self.stream.rounds += kind != START
        while True:
            word = reader.number(8)
            address, flags = word & -PAGE_SIZE, word & (PAGE_SIZE - 1)
            if flags == EOS:
                if address:
                    reader.fail("the end of a RAM section has an address")
                if kind == START and not self.listed:
                    reader.fail("no block list in the START section")
                return
            if flags == MEM_SIZE:
                if kind != START or self.listed:
                    reader.fail("a block list in the wrong place")
                self._read_list(address)
            elif flags & ~CONTINUE in (ZERO, PAGE, XBZRLE):
                self._read_page(address, flags)
            else:
                reader.fail("RAM flags 0x%x" % flags)

    def _read_list(self, total):
        self.listed = True
        while total:
            name, length = self.reader.name(), self.reader.number(8)
            if name in self.stream.blocks:
                self.reader.fail("block %s twice" % name)
            if length == 0 or length % PAGE_SIZE or length > total:
                self.reader.fail("block %s of 0x%x bytes" % (name, length))
            self.stream.blocks[name] = bytearray(length)
            total -= length

    def _read_page(self, address, flags):
        reader = self.reader
        if flags & CONTINUE:
            if self.block is None:
                reader.fail("CONTINUE before any block was named")
        else:
            name = reader.name()
            if name not in self.stream.blocks:
                reader.fail("block %s is not in the list" % name)
            self.block = self.stream.blocks[name]
        if address + PAGE_SIZE > len(self.block):
            reader.fail("page 0x%x is beyond its block" % address)
        if flags & XBZRLE:
            self._read_delta(address)
        elif flags & ZERO:
            reader.expect(1, 0, "the fill of a zero page")
            self.block[address:address + PAGE_SIZE] = bytes(PAGE_SIZE)
            self.stream.zero_pages += 1
        else:
            self.block[address:address + PAGE_SIZE] = reader.take(PAGE_SIZE)
            self.stream.pages += 1

    def _read_delta(self, address):
        self.reader.expect(1, 1, "the coding of a delta")
        length = self.reader.number(2)
        if length > PAGE_SIZE:
            self.reader.fail("a delta of %d bytes" % length)
        delta = _Reader(self.reader.take(length))
        position, first = 0, True
        while delta.at < length:
            skip, count = self._small(delta), self._small(delta)
            position += skip
            if count == 0 or (skip == 0 and not first) or \
                    position + count > PAGE_SIZE:
                self.reader.fail("a bad pair in a delta")
            self.block[address + position:address + position + count] = \
                delta.take(count)
            position, first = position + count, False

    @staticmethod
    def _small(delta):
        low = delta.number(1)
        if low < 128:
            return low
        high = delta.number(1)
        if high >= 128:
            delta.fail("a number of more than two bytes")
        return (low & 127) | high << 7


def _read_configuration(stream, reader):
    reader.expect(1, CONFIGURATION, "the record after the header")
    stream.machine = reader.take(reader.number(4)).decode("ascii")
    while reader.data[reader.at:reader.at + 1] == bytes([SUBSECTION]):
        reader.take(1)
        name = reader.name()
        reader.expect(4, 1, "version of %s" % name)
        if name == "configuration/target-page-bits":
            value = reader.number(4)
        elif name == "configuration/capabilities":
            value = [reader.name() for _ in range(reader.number(4))]
        elif name == "configuration/uuid":
            value = reader.take(16)
        else:
            reader.fail("unknown subsection %s" % name)
        if name in stream.configuration:
            reader.fail("%s twice" % name)
        stream.configuration[name] = value


def _read_command(stream, reader):
    number, length = reader.number(2), reader.number(2)
    if number not in COMMANDS or COMMANDS[number][1] != length:
        reader.fail("command %d with %d bytes" % (number, length))
    stream.commands.append((COMMANDS[number][0], reader.take(length)))


def _read_full(reader, devices, name, instance):
    if not devices:
        reader.fail("section %s is not in the VM description" % name)
    device = devices.pop(0)
    if (device["name"], device["instance_id"]) != (name, instance):
        reader.fail("section %s/%d, where the VM description has %s/%d" % (
            name, instance, device["name"], device["instance_id"]))
    body = reader.take(_device_length(device, name))
    if "vmsd_name" in device:
        _check_subsections(body, device, name)
    return body


def read(data):
    """Reads one whole stored stream; raises Malformed."""
    stream, reader = Stream(), _Reader(data)
    end, stream.description = _find_description(data)
    if stream.description.get("page_size") != PAGE_SIZE:
        raise Malformed("the VM description has no page_size of 4096")
    devices = list(stream.description["devices"])

    reader.expect(4, 0x5145564d, "the magic")
    reader.expect(4, 3, "the version")
    _read_configuration(stream, reader)

    live, ended, ram = {}, set(), _Ram(stream, reader)
    while True:
        kind = reader.number(1)
        if kind == EOF:
            break
        if kind == COMMAND:
            _read_command(stream, reader)
            continue
        if kind not in (START, PART, END, FULL):
            reader.fail("record type 0x%02x" % kind)
        number, body = reader.number(4), None
        if kind in (START, FULL):
            name = reader.name()
            instance, version = reader.number(4), reader.number(4)
            if kind == START:
                if number == 0 or number in live:
                    reader.fail("live section with the number %d" % number)
                live[number] = (name, instance, version)
            elif number in live:
                reader.fail("the number of live section %s again" % name)
        elif number in live and number not in ended:
            name, instance, version = live[number]
        else:
            reader.fail("section number %d was not started" % number)
        if kind == FULL:
            if ended != set(live):
                reader.fail("device %s before the end of memory" % name)
            body = _read_full(reader, devices, name, instance)
        elif (name, instance, version) == ("ram", 0, 4):
            ram.read(kind)
        else:
            reader.fail("live section %s/%d version %d"
                        % (name, instance, version))
        if kind == END:
            ended.add(number)
        reader.expect(1, FOOTER, "the footer mark of %s" % name)
        reader.expect(4, number, "the footer of %s" % name)
        stream.sections.append(
            Section(kind, number, name, instance, version, body))
    if devices:
        reader.fail("device %s is described and was not sent"
                    % devices[0]["name"])
    if reader.at != end:
        reader.fail("the end mark is not before the VM description")
    return stream


def read_file(path):
    with open(path, "rb") as stored:
        return read(stored.read())
