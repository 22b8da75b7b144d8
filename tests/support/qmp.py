# SPDX-License-Identifier: LGPL-2.1-or-later
"""A QMP client: one socket, used by one thread, every wait with a deadline.

QEMU and programs that speak QMP through libvmmigrate are driven alike.
"""

import json
import os
import select
import socket
import time

ANSWER_SECONDS = 10


class Error(Exception):
    """The other side said no; its words are the message."""

    def __init__(self, command, error):
        super().__init__("%s: %s" % (command, error.get("desc", error)))
        self.description = error.get("desc", "")
        self.kind = error.get("class", "")


class Closed(Exception):
    """The other side hung up."""


class Client:
    def __init__(self, path, seconds=ANSWER_SECONDS, alive=lambda: True):
        """Connects as soon as somebody listens at path, unless alive()
        turns false, which means that nobody ever will."""
        deadline = time.monotonic() + seconds
        while True:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                self._socket.connect(path)
                break
            except (FileNotFoundError, ConnectionRefusedError) as failure:
                self._socket.close()
                if not alive():
                    raise Closed("nobody at %s: the program ended"
                                 % path) from failure
                if time.monotonic() > deadline:
                    raise TimeoutError("nobody listens at %s" % path) \
                        from failure
                time.sleep(0.005)
        self._buffer = b""
        self.events = []
        self.greeting = self._receive(deadline)
        # Who connects while a QEMU starts can hear of its start first.
        while "event" in self.greeting:
            self.events.append(self.greeting)
            self.greeting = self._receive(deadline)
        if "QMP" not in self.greeting:
            raise Error("greeting", {"desc": str(self.greeting)})
        self("qmp_capabilities")

    def close(self):
        self._socket.close()

    def _receive(self, deadline):
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._socket], [], [], left)[0]:
                raise TimeoutError("no QMP answer in time")
            try:
                data = self._socket.recv(1 << 16)
            except ConnectionResetError:
                data = b""
            if not data:
                raise Closed("QMP connection closed")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)

    def __call__(self, command, arguments=None, seconds=ANSWER_SECONDS,
                 descriptor=None):
        """Runs a command and returns its answer; descriptor goes with it."""
        message = {"execute": command}
        if arguments:
            message["arguments"] = arguments
        line = json.dumps(message).encode() + b"\r\n"
        try:
            if descriptor is None:
                self._socket.sendall(line)
            else:
                socket.send_fds(self._socket, [line], [descriptor])
        except (BrokenPipeError, ConnectionResetError) as failure:
            raise Closed("QMP connection closed") from failure
        deadline = time.monotonic() + seconds
        while True:
            answer = self._receive(deadline)
            if "event" in answer:
                self.events.append(answer)
            elif "error" in answer:
                raise Error(command, answer["error"])
            else:
                return answer["return"]

    def wait_event(self, name, seconds=ANSWER_SECONDS):
        """The oldest event of that name which nobody has waited for yet."""
        deadline = time.monotonic() + seconds
        while True:
            for event in self.events:
                if event["event"] == name:
                    self.events.remove(event)
                    return event
            message = self._receive(deadline)
            if "event" in message:
                self.events.append(message)


def socket_path(folder, name):
    """A socket's path, short enough for the kernel."""
    path = os.path.join(folder, name)
    if len(path.encode()) > 107:
        raise ValueError("too long for a socket: %s" % path)
    return path
