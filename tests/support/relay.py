# SPDX-License-Identifier: LGPL-2.1-or-later
"""A TCP relay between two sides of a migration: records, delays, cuts.

    with relay.Relay(("127.0.0.1", port)) as link:
        ... connect to link.port ...
        link.cut()

Each connection it takes has two threads, one per direction. link.connections
are in the order of their arrival: .forward and .backward hold what passed.
"""

import select
import socket
import threading
import time


class _Connection:
    def __init__(self, near, far):
        self.near, self.far = near, far
        self.forward, self.backward = bytearray(), bytearray()

    def cut(self):
        """As if the cable were pulled: both ends see a reset or an end."""
        for end in (self.near, self.far):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Relay:
    def __init__(self, target, record=True):
        self.target, self.record = target, record
        self.connections = []
        self._threads = []
        self._delay_seconds = 0.0
        self._limit = None
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._start(self._accept)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _start(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        with self._lock:
            self._threads.append(thread)
        thread.start()

    def delay(self, seconds):
        """Every piece that passes from now on waits as long first."""
        self._delay_seconds = seconds

    def cut_after(self, forward_bytes):
        """Cuts a connection once so much of it has gone to the target."""
        self._limit = forward_bytes

    def cut(self):
        with self._lock:
            connections = list(self.connections)
        for connection in connections:
            connection.cut()

    def close(self):
        self._stop.set()
        self.cut()
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(10)
            if thread.is_alive():
                raise AssertionError("a thread of the relay hangs")
        self._listener.close()
        for connection in self.connections:
            connection.near.close()
            connection.far.close()

    def _accept(self):
        while not self._stop.is_set():
            if not select.select([self._listener], [], [], 0.1)[0]:
                continue
            near = self._listener.accept()[0]
            try:
                far = socket.create_connection(self.target, 5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = _Connection(near, far)
            with self._lock:
                self.connections.append(connection)
            self._start(self._copy, connection, near, far, connection.forward)
            self._start(self._copy, connection, far, near, connection.backward)

    def _copy(self, connection, source, target, record):
        passed = 0
        try:
            while True:
                data = source.recv(1 << 18)
                if not data:
                    break
                if self._delay_seconds:
                    time.sleep(self._delay_seconds)
                limit = self._limit if record is connection.forward else None
                if limit is not None:
                    data = data[:max(0, limit - passed)]
                passed += len(data)
                # First, for who has received it may look at once.
                if self.record:
                    record += data
                target.sendall(data)
                if limit is not None and passed >= limit:
                    connection.cut()
                    return
        except OSError:
            connection.cut()
            return
        try:
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass
