"""CTAPHID packet connections that end: python-fido2's own wait without bound (CTAP 2.1, section 11.2).

python-fido2 reads with a blocking ``os.read`` and repeats for ever while a token answers CHANNEL_BUSY, so a
dead or hostile token would hold the thread. These connections poll, watch their `Limit`, and bound the busy time.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import time
from typing import Final

from fido2.ctap import CtapError
from fido2.hid import CTAPHID, TYPE_INIT
from fido2.hid.base import CtapHidConnection, HidDescriptor

from ownerd.model.errors import Busy, ProtocolBroken
from ownerd.tokens.holders import name_node_users
from ownerd.tokens.limit import Limit

POLL_MS: Final = 50
BUSY_SECONDS: Final = 2.0
_BUSY_COMMAND: Final = TYPE_INIT | CTAPHID.ERROR


class BoundedConnection(CtapHidConnection):
    """CTAPHID packets over a file descriptor that delivers one report per read. Owns the descriptor."""

    def __init__(self, fd: int, limit: Limit, *, report_bytes_in: int, report_prefix: bytes = b"") -> None:
        self._fd = fd
        self._limit = limit
        self._report_bytes_in = report_bytes_in
        self._report_prefix = report_prefix
        self._busy_since: float | None = None
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)

    def read_packet(self) -> bytes:
        """Return one report.

        Raises `GaveUp`, `Busy`, `ProtocolBroken` for a report of another size, `OSError` when the token left.
        """
        while True:
            self._limit.require_patience()
            if self._poll.poll(POLL_MS):
                break
        packet = os.read(self._fd, self._report_bytes_in + 1)
        if not packet:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        if len(packet) != self._report_bytes_in:
            raise ProtocolBroken("the token sent a report of the wrong size")
        self._watch_busy(packet)
        return packet

    def write_packet(self, data: bytes) -> None:
        """Send one report. Raises `OSError`."""
        report = self._report_prefix + data
        if os.write(self._fd, report) != len(report):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def close(self) -> None:
        """Close the descriptor; a second call does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _watch_busy(self, packet: bytes) -> None:
        if packet[4] != _BUSY_COMMAND or packet[7] != CtapError.ERR.CHANNEL_BUSY:
            self._busy_since = None
            return
        now = time.monotonic()
        self._busy_since = now if self._busy_since is None else self._busy_since
        if self._limit.send_once or now - self._busy_since > BUSY_SECONDS:
            raise Busy("another program uses the token")


def open_hidraw(descriptor: HidDescriptor, limit: Limit) -> BoundedConnection:
    """Open a hidraw node for this process alone, by the same advisory lock that libfido2 takes.

    Raises `Busy` when another process holds it, `OSError` otherwise.
    """
    fd = os.open(descriptor.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        node = os.fsdecode(descriptor.path)
        raise Busy(name_node_users("another program uses the token", node)) from error
    except OSError:
        os.close(fd)
        raise
    # hidraw: the first byte of a write is the report number, 0 where the device has only one.
    return BoundedConnection(fd, limit, report_bytes_in=descriptor.report_size_in, report_prefix=b"\0")
