"""Turns: one prompt and one touch at a time; the owner's own acts go before what apps ask.

An app's prompt that is open when the owner's own act arrives is withdrawn and shown again afterwards, so that a
flood of requests cannot keep the owner from the vault.
"""

from __future__ import annotations

import asyncio
from collections import deque

Place = asyncio.Future[None]


class Turns:
    """A lock with two queues. ``wanted`` is set while an act of the owner's waits."""

    def __init__(self) -> None:
        self.wanted = asyncio.Event()
        self._held = False
        self._own: deque[Place] = deque()
        self._apps: deque[Place] = deque()

    def take(self) -> bool:
        """Take the turn if nobody has it, without waiting."""
        free, self._held = not self._held, True
        return free

    def join(self, *, own: bool) -> Place:
        """Return a place in the queue, done once the turn is its holder's. Whoever stops waiting must `leave`."""
        place: Place = asyncio.get_running_loop().create_future()
        if self.take():
            place.set_result(None)
        else:
            (self._own if own else self._apps).append(place)
            self._tell()
        return place

    def leave(self, place: Place) -> None:
        """Give up a place, cancelled or not, or the turn that has just come to it."""
        if place.done() and not place.cancelled():
            self.release()
            return
        place.cancel()
        for queue in (self._own, self._apps):
            # Another's release may have passed it over already.
            if place in queue:
                queue.remove(place)
        self._tell()

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
