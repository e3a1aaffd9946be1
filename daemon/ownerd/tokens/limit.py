"""How long the device calls of one session may go on.

A `Limit` is shared by the event loop, which cancels, and a worker thread, which polls. python-fido2 polls the
event and then sends CTAPHID_CANCEL or the PC/SC cancel; a token that ignores the cancel would keep the
thread for ever, so the connections below it give up a grace period later.
"""

from __future__ import annotations

import threading
import time
from typing import Final

CANCEL_GRACE_SECONDS: Final = 1.0


class GaveUp(Exception):
    """The token did not end a call that was cancelled. Stays inside this package."""


class Limit:
    """Cancellation of one session. ``send_once`` forbids repeating a packet that found the channel busy.

    ``begun``: the token is ours, nobody else's transaction is waited for any more.
    """

    def __init__(self) -> None:
        self.event = threading.Event()
        self.send_once = False
        self.begun = False
        self._cancelled_at = 0.0

    def cancel(self) -> None:
        """Ask the token to end the call under way. Idempotent; safe from any thread."""
        if not self.event.is_set():
            self._cancelled_at = time.monotonic()
            self.event.set()

    def require_patience(self) -> None:
        """Raise `GaveUp` when the token had its grace period after a cancel."""
        if self.event.is_set() and time.monotonic() - self._cancelled_at > CANCEL_GRACE_SECONDS:
            raise GaveUp("the token does not end a cancelled call")
