"""A D-Bus connection made by hand, for messages that no library would send."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable, Sequence

from ownerd.dbuslib import Message

Patch = Callable[[bytearray], bytes]


class RawConnection:
    """Authenticates, says Hello, sends whatever it is given. ``name`` is its unique name."""

    def __init__(self, path: str, *, descriptors: bool = False) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(5)
        self.socket.connect(path)
        self.socket.sendall(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n")
        assert self.socket.recv(256).startswith(b"OK ")
        if descriptors:
            self.socket.sendall(b"NEGOTIATE_UNIX_FD\r\n")
            assert self.socket.recv(256).startswith(b"AGREE_UNIX_FD")
        self.socket.sendall(b"BEGIN\r\n")
        self._serial = 0
        bus = "org.freedesktop.DBus"
        self.send(Message(destination=bus, path="/org/freedesktop/DBus", interface=bus, member="Hello"))
        self.wait_for(b"NameAcquired")

    def send(self, message: Message, patch: Patch = bytes, descriptors: Sequence[int] = ()) -> None:
        """Marshal ``message``, let ``patch`` spoil the bytes, send them."""
        self._serial += 1
        message.serial = self._serial
        message.unix_fds = list(descriptors)
        data = patch(bytearray(message._marshall(bool(descriptors))))
        if descriptors:
            socket.send_fds(self.socket, [data], list(descriptors))
        else:
            self.socket.sendall(data)

    def wait_for(self, needle: bytes, seconds: float = 5) -> bytes:
        """Read until ``needle`` comes by; returns everything read."""
        data = b""
        deadline = time.monotonic() + seconds
        while needle not in data:
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            got = self.socket.recv(65536)
            assert got, "the bus closed the connection"
            data += got
        return data

    def close(self) -> None:
        self.socket.close()


def set_byte(offset: int, value: int) -> Patch:
    """Patch one byte of the fixed header: 1 is the message type, 2 the flags."""

    def patch(data: bytearray) -> bytes:
        data[offset] = value
        return bytes(data)

    return patch


def add_header_field(code: int, value: bytes) -> Patch:
    """Append a string header field with an unknown ``code``."""

    def patch(data: bytearray) -> bytes:
        (length,) = struct.unpack_from("<I", data, 12)
        body = data[16 + (length + 7) // 8 * 8 :]
        fields = bytes(data[16 : 16 + length])
        fields += b"\0" * (-len(fields) % 8)
        fields += bytes([code, 1]) + b"s\0" + struct.pack("<I", len(value)) + value + b"\0"
        head = bytes(data[:12]) + struct.pack("<I", len(fields)) + fields
        return head + b"\0" * (-len(head) % 8) + bytes(body)

    return patch
