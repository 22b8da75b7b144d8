# SPDX-License-Identifier: LGPL-2.1-or-later
"""A strict reader of stored migration streams, independent of the library.

It was written from the format alone and shares no code with what it checks.
Device sections carry no length; like any tool that reads a stored stream it
finds the VM description at the end of the file first, and reads each section
field by field as that says. Everything that a well-behaved sender would not
write is an error, also where QEMU would let it pass.

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

# Number: name and length of the payload. Nobody answers a stored stream, so
# the commands that want an answer are not among them.
COMMANDS = {11: ("SWITCHOVER_START", 0)}

# Types of fields whose values are numbers, and their length.
INTEGERS = {"bool": 1, "timer": 8, "int32 equal": 4, "uint8 equal": 1,
            **{"%sint%d" % (sign, bits): bits // 8
               for sign in ("", "u") for bits in (8, 16, 32, 64)}}
FIELD_KEYS = {"name", "type", "size", "index", "array_len", "struct",
              "version", "vmsd_name", "fields", "subsections"}


class Malformed(Exception):
    """The stream is not what the format says; names the offset."""


class Section:
    """body and fields (values by name, lists of them for arrays, a dictionary
    for each structure and subsection) are those of a device."""

    def __init__(self, kind, number, name, instance, version):
        self.kind, self.number, self.name = kind, number, name
        self.instance, self.version = instance, version
        self.body = self.fields = None


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
    """(offset of the 06 before it, the JSON), which must end the stream. A tool
    has no better way to find it than the first brace behind the last zero."""
    begin = data.find(b"{", data.rfind(b"\0"))
    at = begin - 5
    if at < 1 or data[at] != VMDESC or data[at - 1] != EOF:
        raise Malformed("no VM description where a tool looks for it")
    length = struct.unpack_from(">I", data, at + 1)[0]
    if length != len(data) - begin:
        raise Malformed("a VM description of %d bytes, said to be %d"
                        % (len(data) - begin, length))
    try:
        description = json.loads(data[begin:].decode())
    except ValueError as failure:
        raise Malformed("the VM description is no JSON") from failure
    return at, description


def _check_keys(field, where):
    unknown = set(field) - FIELD_KEYS
    if unknown:
        raise Malformed("%s: a field has unknown keys %s"
                        % (where, sorted(unknown)))
    for key, kind in (("name", str), ("type", str), ("size", int)):
        if not isinstance(field.get(key), kind):
            raise Malformed("%s: field %r has no %s"
                            % (where, field.get("name"), key))


def _read_value(reader, field, where):
    begin, kind, size = reader.at, field["type"], field["size"]
    if kind == "struct":
        value = _read_fields(reader, field["struct"], where)
        if reader.at - begin != size:
            reader.fail("structure %s has %d bytes and not %d"
                        % (where, reader.at - begin, size))
        return value
    if kind == "capability":
        return reader.name()
    if kind in INTEGERS:
        if size != INTEGERS[kind]:
            reader.fail("%s is %s of %d bytes" % (where, kind, size))
        return int.from_bytes(reader.take(size), "big",
                              signed=kind.startswith(("int", "timer")))
    return reader.take(size)


def _read_fields(reader, described, where):
    """A section, structure or subsection: its fields, then its subsections."""
    values = {}
    for key in ("vmsd_name", "version", "fields"):
        if key not in described:
            reader.fail("%s is described without %s" % (where, key))
    for field in described["fields"]:
        _check_keys(field, where)
        name = field["name"]
        inside = "%s/%s" % (where, name)
        if "array_len" in field:
            values[name] = [_read_value(reader, field, inside)
                            for _ in range(field["array_len"])]
        elif "index" in field:
            elements = values.setdefault(name, [])
            if len(elements) != field["index"]:
                reader.fail("element %d of %s at place %d"
                            % (field["index"], inside, len(elements)))
            elements.append(_read_value(reader, field, inside))
        elif name in values:
            reader.fail("%s twice" % inside)
        else:
            values[name] = _read_value(reader, field, inside)
    for inner in described.get("subsections", ()):
        reader.expect(1, SUBSECTION, "the mark of " + inner["vmsd_name"])
        name = reader.name()
        if name != inner["vmsd_name"]:
            reader.fail("subsection %s in place of %s"
                        % (name, inner["vmsd_name"]))
        reader.expect(4, inner["version"], "the version of " + name)
        values[name] = _read_fields(reader, inner, name)
    return values


def _read_device(reader, device, where):
    """The values of its fields. Of an opaque section only the length is known,
    which is described as one buffer."""
    if "vmsd_name" in device:
        return _read_fields(reader, device, where)
    fields = device.get("fields")
    if not fields or [field["name"] for field in fields] != ["data"] or \
            fields[0]["type"] != "buffer" or \
            fields[0]["size"] != device.get("size"):
        reader.fail("%s is not described as an opaque section" % where)
    return {"data": reader.take(device["size"])}


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
            if "x-ignore-shared" in self.stream.configuration.get(
                    "configuration/capabilities", ()):
                self.reader.number(8)
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
    begin = reader.at
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
    # Older QEMUs leave it out of the description.
    described = stream.description.get("configuration")
    if described:
        end, reader.at = reader.at, begin
        _read_fields(reader, described, "configuration")
        if reader.at != end:
            reader.fail("the description of the configuration is not its own")


def _read_command(stream, reader):
    number, length = reader.number(2), reader.number(2)
    if number not in COMMANDS or COMMANDS[number][1] != length:
        reader.fail("command %d with %d bytes" % (number, length))
    stream.commands.append((COMMANDS[number][0], reader.take(length)))


def _read_full(reader, devices, section):
    where = "%s/%d" % (section.name, section.instance)
    if not devices:
        reader.fail("section %s is not in the VM description" % where)
    device = devices.pop(0)
    if (device["name"], device["instance_id"]) != \
            (section.name, section.instance):
        reader.fail("section %s, where the VM description has %s/%d" % (
            where, device["name"], device["instance_id"]))
    begin = reader.at
    section.fields = _read_device(reader, device, where)
    section.body = reader.data[begin:reader.at]


def _check_devices(devices):
    names = [(device["name"], device["instance_id"]) for device in devices]
    if len(set(names)) != len(names):
        raise Malformed("a device is described twice: %s" % names)


def read(data):
    """Reads one whole stored stream; raises Malformed."""
    stream, reader = Stream(), _Reader(data)
    end, stream.description = _find_description(data)
    if stream.description.get("page_size") != PAGE_SIZE:
        raise Malformed("the VM description has no page_size of 4096")
    devices = list(stream.description["devices"])
    _check_devices(devices)

    reader.expect(4, 0x5145564d, "the magic")
    reader.expect(4, 3, "the version")
    _read_configuration(stream, reader)

    live, ended, numbers, ram = {}, set(), set(), _Ram(stream, reader)
    while True:
        kind = reader.number(1)
        if kind == EOF:
            break
        if kind == COMMAND:
            _read_command(stream, reader)
            continue
        if kind not in (START, PART, END, FULL):
            reader.fail("record type 0x%02x" % kind)
        number = reader.number(4)
        if kind in (START, FULL):
            section = Section(kind, number, reader.name(), reader.number(4),
                              reader.number(4))
            # A number is a section's own: tools know sections by it. And 0
            # would be taken for another by those that load them.
            if number in numbers or (kind == START and number == 0):
                reader.fail("section %s has the number %d"
                            % (section.name, number))
            numbers.add(number)
            if kind == START:
                live[number] = section
        elif number in live and number not in ended:
            first = live[number]
            section = Section(kind, number, first.name, first.instance,
                              first.version)
        else:
            reader.fail("section number %d was not started" % number)
        if kind == FULL:
            if ended != set(live):
                reader.fail("device %s before the end of memory"
                            % section.name)
            _read_full(reader, devices, section)
        elif (section.name, section.instance, section.version) == \
                ("ram", 0, 4):
            ram.read(kind)
        else:
            reader.fail("live section %s/%d version %d" % (
                section.name, section.instance, section.version))
        if kind == END:
            ended.add(number)
        reader.expect(1, FOOTER, "the footer mark of " + section.name)
        reader.expect(4, number, "the footer of " + section.name)
        stream.sections.append(section)
    if devices:
        reader.fail("device %s is described and was not sent"
                    % devices[0]["name"])
    if reader.at != end:
        reader.fail("the end mark is not before the VM description")
    return stream


def read_file(path):
    with open(path, "rb") as stored:
        return read(stored.read())
