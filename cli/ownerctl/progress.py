"""What the daemon waits for, said on standard error while a call runs.

On a terminal it is one line that is drawn again and again, and never while the daemon's own prompt has that
terminal: two writers would garble each other. Elsewhere, with ``--verbose``, it is one plain line a state.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Mapping
from typing import Self

from ownerctl import render
from ownerctl.terminal import draws_on
from ownerd.model.names import Progress

Details = Mapping[str, str | int]

# The daemon's prompt is on the screen, or may come at any moment.
PROMPTING = frozenset({Progress.WAITING_FOR_OWNER, Progress.WAITING_FOR_PIN})
_REDRAW_SECONDS = 0.5


def describe(state: str, details: Details, elapsed_seconds: float = 0.0) -> str:
    """One short sentence for ``state``; the time left where the daemon gave a limit."""
    act = f" {details['id']}" if "id" in details else ""
    name = str(details.get("token", "")) or "the token"
    purpose = f" to {details['purpose']}" if details.get("purpose") else ""
    sentences: dict[str, str] = {
        Progress.WAITING_FOR_UNLOCK: "waiting for the vault to be unlocked, run ownerctl unlock",
        Progress.WAITING_FOR_OWNER: "waiting for your answer at the prompt",
        Progress.WAITING_FOR_TERMINAL: f"waiting for a terminal to ask on, run ownerctl approve{act} in one",
        Progress.WAITING_FOR_TOKEN: "waiting for a token, plug in or present an enrolled one",
        Progress.WAITING_FOR_PIN: f"waiting for the PIN of {name}{purpose}",
        Progress.WAITING_FOR_TOUCH: f"waiting for a touch on {name}{purpose}",
        Progress.RECORDING: "recording",
    }
    sentence = sentences.get(state, f"waiting ({state})")
    limit = details.get("timeout_seconds")
    if isinstance(limit, int | float) and limit > 0:
        return f"{sentence}, {max(0, round(limit - elapsed_seconds))} s left"
    if state == Progress.RECORDING and elapsed_seconds >= 1:
        return f"{sentence}, {int(elapsed_seconds)} s so far"  # an erasure writes a whole table anew
    return sentence


class ProgressLine:
    """Shows one call's progress. Use as an async context manager; ``show`` takes each new state.

    ``lent_tty`` is the terminal that the daemon's prompts may use.
    """

    def __init__(
        self,
        *,
        verbose: bool,
        lent_tty: str | None,
        delay_seconds: float = 1.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._verbose = verbose
        self._lent_tty = lent_tty
        self._delay_seconds = delay_seconds
        self._now = now
        self._live = sys.stderr.isatty()
        self._state: str | None = None
        self._details: Details = {}
        self._since = 0.0
        self._drawn = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._live:
            self._task = asyncio.create_task(self._redraw())
        return self

    async def __aexit__(self, *_exception: object) -> None:
        if self._task is not None:
            self._task.cancel()
        self.clear()

    def show(self, state: str, details: Details) -> None:
        """Take a new state from the daemon."""
        self._state, self._details, self._since = state, dict(details), self._now()
        if self._live:
            # Before a prompt begins, the line must be gone: the daemon signals first and prompts then.
            self.clear()
        elif self._verbose:
            render.note(describe(state, details))

    def clear(self) -> None:
        """Take the line away, if one is there."""
        if self._drawn:
            self._drawn = False
            render.draw("")

    def tick(self) -> None:
        """Draw the line, once its state has lasted long enough to be worth a word."""
        if self._state is None or (self._state in PROMPTING and draws_on(self._lent_tty)):
            return
        elapsed = self._now() - self._since
        if elapsed >= self._delay_seconds:
            self._drawn = True
            render.draw(describe(self._state, self._details, elapsed))

    async def _redraw(self) -> None:
        while True:
            await asyncio.sleep(_REDRAW_SECONDS)
            self.tick()
