# SPDX-License-Identifier: Apache-2.0
"""A milter by hand, which does what its script says: for what no real one does."""
import contextlib
import socket
import struct
import threading

from hedwig_harness import host

ACTIONS, STEPS = 0xFF, 0
NO_CONNECT, NO_HELO, NO_MAIL, NO_RCPT, NO_BODY, NO_HEADERS, NO_EOH, SILENT_HEADER = (1 << bit for bit in range(8))
NO_DATA, SKIP, SILENT_BODY, LEADING_SPACE = 0x200, 0x400, 0x80000, 0x100000


class Gone(Exception):
    pass


def text(*parts):
    return b"".join(part.encode() + b"\0" for part in parts)


def numbered(number, *parts):
    return struct.pack("!I", number) + text(*parts)


class Connection:
    def __init__(self, raw):
        self.raw = raw

    def exactly(self, octets):
        data = b""
        while len(data) < octets:
            part = self.raw.recv(octets - len(data))
            if not part:
                raise Gone
            data += part
        return data

    def get(self):
        size, = struct.unpack("!I", self.exactly(4))
        data = self.exactly(size)
        return chr(data[0]), data[1:]

    def put(self, kind, data=b""):
        self.raw.sendall(struct.pack("!I", len(data) + 1) + kind.encode() + data)


class Milter:
    """`answers` maps a command letter to what is sent for it: a list of (kind, data), or a function of (connection, data,
    milter) that sends by itself. Whatever is not in it is answered with continue. `seen` is every command but macros, as
    (letter, data); `macros` the macros by the letter of the command they came before."""

    def __init__(self, answers=None, version=6, actions=ACTIONS, steps=STEPS, silent=""):
        self.answers = answers or {}
        self.offer = struct.pack("!III", version, actions, steps)
        self.silent = silent + "DAQK"
        self.seen, self.macros, self.offered, self.connections = [], {}, [], 0
        self.listener = socket.create_server((host(), 0))
        self.address = "inet:%s:%d" % self.listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(raw,), daemon=True).start()

    def _serve(self, raw):
        with contextlib.suppress(OSError, Gone), raw:
            connection = Connection(raw)
            while True:
                kind, data = connection.get()
                if kind == "D":
                    words = data[1:].decode().split("\0")
                    self.macros.setdefault(chr(data[0]), {}).update(zip(words[0::2], words[1::2]))
                    continue
                if kind == "O":
                    self.offered.append(struct.unpack("!III", data))
                else:
                    self.seen.append((kind, data))
                answer = self.answers.get(kind)
                if callable(answer):
                    answer(connection, data, self)
                elif answer is not None:
                    for one in answer:
                        connection.put(*one)
                elif kind == "O":
                    connection.put("O", self.offer)
                elif kind == "Q":
                    return
                elif kind not in self.silent:
                    connection.put("c")

    def letters(self):
        return "".join(kind for kind, _ in self.seen)

    def close(self):
        self.listener.close()
