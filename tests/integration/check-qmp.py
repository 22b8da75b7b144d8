#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""minivmm's QMP: QEMU's words, and a connection that outlives rubbish."""

import json
import os
import random
import select
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import guests
import peers
import qmp
import tap

ANSWER_SECONDS = 5


class Raw:
    """A connection to which any bytes can be sent."""

    def __init__(self, path, negotiate=True):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._buffer = b""
        self.greeting = self.receive()
        if negotiate:
            assert self.ask({"execute": "qmp_capabilities"}) == {"return": {}}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def send(self, data):
        self._socket.sendall(data)

    def receive(self, seconds=ANSWER_SECONDS):
        """The next message that is no event."""
        deadline = time.monotonic() + seconds
        while True:
            while b"\n" not in self._buffer:
                left = deadline - time.monotonic()
                assert left > 0 and \
                    select.select([self._socket], [], [], left)[0], "no answer"
                data = self._socket.recv(1 << 16)
                assert data, "hung up"
                self._buffer += data
            line, self._buffer = self._buffer.split(b"\n", 1)
            message = json.loads(line)
            if "event" not in message:
                return message

    def ask(self, message):
        self.send(json.dumps(message).encode())
        return self.receive()

    def is_silent(self):
        return not self._buffer and \
            not select.select([self._socket], [], [], 0.05)[0]


def error_of(answer, kind="GenericError"):
    error = answer["error"]
    assert set(error) == {"class", "desc"}, error
    assert error["class"] == kind, error
    return error["desc"]


def lives(raw):
    assert raw.ask({"execute": "query-status", "id": 77})["id"] == 77


def greets_and_negotiates(path):
    with Raw(path, negotiate=False) as raw:
        version = raw.greeting["QMP"]["version"]
        assert set(version["qemu"]) == {"major", "minor", "micro"}, version
        assert raw.greeting["QMP"]["capabilities"] == []
        assert "qmp_capabilities" in error_of(
            raw.ask({"execute": "query-status"}), "CommandNotFound")
        assert error_of(raw.ask({"execute": "qmp_capabilities",
                                 "arguments": {"enable": ["oob"]}}))
        assert raw.ask({"execute": "qmp_capabilities",
                        "arguments": {"enable": []}}) == {"return": {}}
        assert "already complete" in error_of(
            raw.ask({"execute": "qmp_capabilities"}), "CommandNotFound")
        assert raw.ask({"execute": "query-version"})["return"] == version


def echoes_the_id(path):
    with Raw(path) as raw:
        for number in (1, "x", None, [1, {"a": True}], 1.5, {"b": {}}):
            for command in ("query-status", "nonsense"):
                answer = raw.ask({"execute": command, "id": number})
                assert answer["id"] == number, answer
        assert "id" not in raw.ask({"execute": "query-status"})


# What is sent, and what the answer says.
QEMU_WORDS = [
    ('[]', "QMP input must be a JSON object"),
    ('"x"', "QMP input must be a JSON object"),
    ('{}', "QMP input lacks member 'execute'"),
    ('{"execute":5}', "QMP input member 'execute' must be a string"),
    ('{"foo":1}', "QMP input member 'foo' is unexpected"),
    ('{"execute":"query-status","foo":1}',
     "QMP input member 'foo' is unexpected"),
    ('{"execute":"query-status","arguments":[]}',
     "QMP input member 'arguments' must be an object"),
    ('{"execute":"query-status","arguments":{"x":1}}',
     "Parameter 'x' is unexpected"),
    ('{"execute":"migrate"}', "Parameter 'uri' is missing"),
    ('{"execute":"migrate","arguments":{"uri":5}}',
     "Invalid parameter type for 'uri', expected: string"),
    ('{"execute":"migrate-incoming","arguments":{"uri":"tcp:127.0.0.1:0"}}',
     "'-incoming' was not specified on the command line"),
    ('{"execute":"migrate-continue","arguments":{"state":"foo"}}',
     "Parameter 'state' does not accept value 'foo'"),
    ('{"execute":"migrate-continue","arguments":{"state":"pre-switchover"}}',
     "Migration not in expected state: none"),
    ('{"execute":"migrate-set-capabilities","arguments":{"capabilities":'
     '[{"capability":"foo","state":true}]}}',
     "Parameter 'capability' does not accept value 'foo'"),
    ('{"execute":"migrate-set-capabilities","arguments":{"capabilities":'
     '[{"capability":"max-bandwidth","state":true}]}}',
     "Parameter 'capability' does not accept value 'max-bandwidth'"),
    ('{"execute":"migrate-set-capabilities","arguments":{"capabilities":'
     '[{"capability":"events","state":1}]}}',
     "Invalid parameter type for 'capabilities[0].state', expected: boolean"),
    ('{"execute":"migrate-set-capabilities","arguments":{"capabilities":'
     '[{"capability":"events"}]}}',
     "Parameter 'capabilities[0].state' is missing"),
    ('{"execute":"migrate-set-capabilities","arguments":{"capabilities":[5]}}',
     "Invalid parameter type for 'capabilities[0]', expected: object"),
    ('{"execute":"migrate-set-parameters","arguments":{"foo":1}}',
     "Parameter 'foo' is unexpected"),
    ('{"execute":"migrate-set-parameters","arguments":{"events":true}}',
     "Parameter 'events' is unexpected"),
    ('{"execute":"migrate-set-parameters","arguments":{"max-bandwidth":"x"}}',
     "Parameter 'max-bandwidth' expects uint64"),
    ('{"execute":"migrate-set-parameters","arguments":{"max-bandwidth":-1}}',
     "Parameter 'max-bandwidth' expects uint64"),
    ('{"execute":"migrate-set-parameters","arguments":{"downtime-limit":3.5}}',
     "Parameter 'downtime-limit' expects uint64"),
]


def says_no_as_qemu_does(path):
    with Raw(path) as raw:
        for message, words in QEMU_WORDS:
            raw.send(message.encode())
            said = error_of(raw.receive())
            assert said.startswith(words), (message, said)
        assert error_of(raw.ask({"execute": "nope"}), "CommandNotFound") == \
            "The command nope has not been found"
        lives(raw)


def needs_no_line_ends(path):
    with Raw(path) as raw:
        command = b'{"execute": "query-status", "id": %d}'
        raw.send(command % 1 + command % 2)
        assert raw.receive()["id"] == 1
        assert raw.receive()["id"] == 2
        for byte in command % 3:
            raw.send(bytes([byte]))
        assert raw.receive()["id"] == 3
        raw.send(b'{"execute"\r\n:\t"query-status"\n,"id"\n:4\n}')
        assert raw.receive()["id"] == 4


def broken_json_is_answered(path):
    with Raw(path) as raw:
        for line in (b"{bad}", b"}", b"]", b'{"execute"}', b'{"execute":}',
                     b"[1 2]", b"nul", b'"\\x"', b"{'execute':1}", b"\x00",
                     b'{"execute":"query-status",}', b"[" * 100):
            raw.send(line + b"\n")
            assert error_of(raw.receive()).startswith("JSON parse error"), line
            assert raw.is_silent(), line
        lives(raw)


def unfinished_command_does_not_swallow_the_next(path):
    with Raw(path) as raw:
        raw.send(b'{"execute":"query-status"\n')
        assert raw.is_silent()
        raw.send(b'{"execute":"query-status","id":5}\n')
        error_of(raw.receive())
        assert raw.receive()["id"] == 5


def binary_is_answered(path):
    noise = random.Random(1)
    with Raw(path) as raw:
        for _ in range(200):
            length = noise.randrange(1, 2000)
            raw.send(b"\x01" + noise.randbytes(length))
        raw.send(b"\n")
        error_of(raw.receive())
        # However many mistakes the noise was, a mark tells where it ended.
        raw.send(b'{"execute":"query-status","id":"end"}\n')
        while raw.receive().get("id") != "end":
            pass
        lives(raw)


def oversized_is_answered(path):
    with Raw(path) as raw:
        raw.send(b'{"execute":"' + b"x" * (3 << 20) + b'"}\n')
        assert "too long" in error_of(raw.receive())
        lives(raw)


def serves_several_at_once(path):
    clients = [Raw(path) for _ in range(20)]
    try:
        clients[0].send(b'{"execute":')  # and then nothing
        for client in clients[1:]:
            lives(client)
        clients[1].send(b"{" * 50 + b"\n")
        for client in clients[2:]:
            lives(client)
    finally:
        for client in clients:
            client.__exit__()


def client_that_reads_nothing_harms_nobody(path):
    with Raw(path) as deaf, Raw(path) as other:
        deaf._socket.setblocking(False)
        try:
            for _ in range(20000):
                deaf.send(b'{"execute":"query-migrate-parameters"}')
        except BlockingIOError:
            pass
        for _ in range(20):
            begun = time.monotonic()
            lives(other)
            assert time.monotonic() - begun < 1


def clients_may_vanish(path):
    for rest in (b"", b'{"execute":"query-sta', b'{"execute":"query-status"}'):
        raw = Raw(path)
        raw.send(rest)
        raw.__exit__()
    with Raw(path) as raw:
        lives(raw)


def options_are_seen_twice(path):
    with Raw(path) as raw:
        capabilities = {row["capability"]: row["state"] for row in raw.ask(
            {"execute": "query-migrate-capabilities"})["return"]}
        parameters = raw.ask({"execute": "query-migrate-parameters"})["return"]
        assert not set(capabilities) & set(parameters)
        assert capabilities["return-path"] is True
        assert capabilities["events"] is False
        assert capabilities["pause-before-switchover"] is False
        assert parameters["max-bandwidth"] == 128 << 20
        assert parameters["downtime-limit"] == 300
        assert parameters["peer"] == "auto"
        assert raw.ask({"execute": "migrate-set-parameters", "arguments": {
            "downtime-limit": 100, "max-bandwidth": 0,
            "peer": "qemu-7.2"}}) == {"return": {}}
        assert raw.ask({"execute": "migrate-set-capabilities", "arguments": {
            "capabilities": [{"capability": "events", "state": True}]}}) == \
            {"return": {}}
        parameters = raw.ask({"execute": "query-migrate-parameters"})["return"]
        assert parameters["downtime-limit"] == 100
        assert parameters["max-bandwidth"] == 0
        assert parameters["peer"] == "qemu-7.2"

        # All or nothing, and the reason names the one that is wrong.
        said = error_of(raw.ask({
            "execute": "migrate-set-parameters", "arguments": {
                "downtime-limit": 200, "peer": "xen,downtime-limit=1"}}))
        assert "peer" in said, said
        parameters = raw.ask({"execute": "query-migrate-parameters"})["return"]
        assert parameters["downtime-limit"] == 100, parameters
        assert parameters["peer"] == "qemu-7.2", parameters


def stop_and_cont_are_told(path):
    client = qmp.Client(path)
    client("stop")
    assert client("query-status") == {
        "status": "paused", "singlestep": False, "running": False}
    client("stop")
    client("cont")
    assert client("query-status")["status"] == "running"
    client("cont")
    names = [event["event"] for event in client.events]
    assert names == ["STOP", "RESUME"], names
    stamp = client.events[0]["timestamp"]
    assert abs(stamp["seconds"] - time.time()) < 60, stamp
    client.close()


def starts_paused(folder):
    with guests.Guest(folder, "paused", machine="soft",
                      arguments=["--paused"]) as guest:
        assert guest.run_state() == "prelaunch"
        assert guest.query()["pages-checked"] == 0
        guest.qmp("cont")
        assert guest.run_state() == "running"
        guest.wait_passes(1)
        guest.quit()


def waits_for_a_guest(folder):
    with guests.Guest(folder, "incoming", machine="soft",
                      incoming=True) as guest:
        assert guest.run_state() == "inmigrate"
        assert guest.qmp("query-migrate") == {}
        assert guest.query()["passes"] == 0
        try:
            guest.qmp("migrate", {"uri": "tcp:127.0.0.1:1"})
            raise AssertionError("a guest that is not there was migrated")
        except qmp.Error as error:
            assert "waiting for an incoming" in error.description
        guest.listen()
        assert guest.info()["status"] == "setup"
        guest.quit()


def quit_says_goodbye(folder):
    with guests.Guest(folder, "quitting", machine="soft") as guest:
        other = qmp.Client(guest.qmp_path)
        guest.quit()
        assert other.wait_event("SHUTDOWN")["data"] == {
            "guest": False, "reason": "host-qmp-quit"}
        assert not os.path.exists(guest.qmp_path)


def main():
    suite = tap.Suite(seconds=180)
    with peers.Folder(256 << 20) as folder:
        for check in (starts_paused, waits_for_a_guest, quit_says_goodbye):
            with suite.case(check.__name__.replace("_", " ")):
                check(folder)
        with guests.Guest(folder, "qmp", machine="soft") as guest:
            for check in (greets_and_negotiates, echoes_the_id,
                          says_no_as_qemu_does, needs_no_line_ends,
                          broken_json_is_answered,
                          unfinished_command_does_not_swallow_the_next,
                          binary_is_answered, oversized_is_answered,
                          serves_several_at_once,
                          client_that_reads_nothing_harms_nobody,
                          clients_may_vanish, options_are_seen_twice,
                          stop_and_cont_are_told):
                with suite.case(check.__name__.replace("_", " ")):
                    check(guest.qmp_path)
            with suite.case("all of this left the guest alone"):
                assert guest.query()["errors"] == 0
                guest.quit()
    return suite.done()


if __name__ == "__main__":
    sys.exit(main())
