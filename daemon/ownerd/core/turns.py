"""Turns: one prompt and one touch at a time; the owner's own acts go before what apps ask.

An app's prompt that is open when the owner's own act arrives is withdrawn and shown again afterwards, so that a
flood of requests cannot keep the owner from the vault.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """A lock with two queues. ``wanted`` is set while an act of the owner's waits."""

    def __init__(self) -> None:
        self.wanted = asyncio.Event()
        self._held = False
        self._own: deque[asyncio.Future[None]] = deque()
        self._apps: deque[asyncio.Future[None]] = deque()

    def take(self) -> bool:
        """Take the turn if nobody has it, without waiting."""
        free, self._held = not self._held, True
        return free

    async def acquire(self, *, own: bool) -> None:
        """Wait for the turn; cancelling gives up the place, or the turn that has just come."""
        if self.take():
            return
        queue = self._own if own else self._apps
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(place)
        self._tell()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.release()
            else:
                queue.remove(place)
            self._tell()
            raise

    def release(self) -> None:
        """Hand the turn on."""
        for queue in (self._own, self._apps):
            while queue:
                place = queue.popleft()
                if not place.done():
                    self._tell()
                    place.set_result(None)
                    return
        self._held = False
        self._tell()

    def _tell(self) -> None:
        if self._own:
            self.wanted.set()
        else:
            self.wanted.clear()
