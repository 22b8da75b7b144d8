# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU's qtest protocol: writing a guest's memory without running a guest.

Every write marks its pages dirty as one by the guest would. The socket is
QEMU's `-qtest unix:PATH,server=on,wait=off`; one line each way per command.
"""

import base64
import socket
import time

ANSWER_SECONDS = 10


class Client:
    def __init__(self, path):
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                self._socket.connect(path)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                self._socket.close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.005)
        self._socket.settimeout(ANSWER_SECONDS)
        self._answers = self._socket.makefile("rb")

    def close(self):
        self._answers.close()
        self._socket.close()

    def _run(self, lines):
        self._socket.sendall(b"".join(line + b"\n" for line in lines))
        for line in lines:
            answer = self._answers.readline()
            while answer.startswith(b"IRQ "):
                answer = self._answers.readline()
            if answer.strip() != b"OK":
                raise AssertionError("qtest: %r to %r" % (answer, line[:60]))

    def write_words(self, writes):
        """writes: (address, 64-bit value) pairs; returns when all are done."""
        self._run([b"writeq 0x%x 0x%x" % write for write in writes])

    def write(self, address, data):
        self._run([b"b64write 0x%x 0x%x %s"
                   % (address, len(data), base64.b64encode(data))])
