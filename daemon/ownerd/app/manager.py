"""What ``systemctl --user status ownerd`` shows: sd_notify(3), one datagram to ``$NOTIFY_SOCKET``.

The unit is ready when it owns its bus name (``Type=dbus``); this says in words what it does. It names counts and
nothing else: everybody who may ask systemd reads it.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Final

VARIABLE: Final = "NOTIFY_SOCKET"


class Manager:
    """The service manager, if there is one. Children get no address of it."""

    def __init__(self) -> None:
        self._address = os.environ.pop(VARIABLE, "")
        self._told = ""

    def tell(self, status: str, *, ending: bool = False) -> None:
        """Show ``status``, once as long as it stays the same. Never raises and never waits."""
        if not self._address.startswith(("/", "@")) or status == self._told:
            return
        self._told = status
        text = f"STATUS={status}\n" + ("STOPPING=1\n" if ending else "")
        address = self._address
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as made,
        ):
            made.sendto(text.encode(), "\0" + address[1:] if address[0] == "@" else address)
