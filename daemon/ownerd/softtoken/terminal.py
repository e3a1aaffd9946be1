"""The token's face: says on its terminal what is asked, and takes Enter as the touch.

Works on a terminal and on a pipe. Whatever was typed before a question stood on the screen is thrown away, so
that an Enter from earlier approves nothing. Text that comes from a client is shown without control characters.
"""

from __future__ import annotations

import asyncio
import os
import select
import sys
import termios
from contextlib import suppress
from threading import Event
from typing import Final

from ownerd.softtoken.touch import Answer, Ask

POLL_SECONDS: Final = 0.05
MAX_SHOWN: Final = 80
MAX_LINE_BYTES: Final = 4096

WARNING: Final = """\
ownerd-softtoken: a security token in software, for trying ownerd out.
It is NOT a security key. It does not protect against programs that run as you: such a program can copy
the state file and try passphrases on it, read this process's memory, or press Enter here in your place.
Use a hardware token for data that matters."""


def printable(text: str) -> str:
    """``text`` in one line without control characters, so that it cannot redraw the terminal."""
    clean = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return clean if len(clean) <= MAX_SHOWN else clean[: MAX_SHOWN - 1] + "…"


class Terminal:
    """A `TouchSource` on standard input and output. ``ended`` is set at EOF."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ended: asyncio.Event, *, descriptor: int = 0) -> None:
        self._loop = loop
        self._ended = ended
        self._descriptor = descriptor
        self._line = b""
        self._waiting: asyncio.Future[Answer] | None = None

    def start(self) -> None:
        """Begin to read. Raises `PermissionError` for an input that cannot be waited for (a plain file)."""
        self._loop.add_reader(self._descriptor, self._read)

    def stop(self) -> None:
        """Read no more."""
        self._loop.remove_reader(self._descriptor)

    def say(self, text: str) -> None:
        """Print one line; a vanished reader ends the token."""
        try:
            show(text)
        except OSError:
            self._ended.set()

    # -- worker thread --

    def __call__(self, ask: Ask, cancel: Event, timeout_seconds: float) -> Answer:
        """Show ``ask`` and wait. Called on the authenticator's thread."""
        question = asyncio.run_coroutine_threadsafe(self._ask(ask, timeout_seconds), self._loop)
        while True:
            try:
                return question.result(POLL_SECONDS)
            except TimeoutError:
                if cancel.is_set():
                    question.cancel()
                    return Answer.CANCELLED

    # -- loop --

    async def _ask(self, ask: Ask, timeout_seconds: float) -> Answer:
        self._discard_typed()
        where = "" if ask.rp_id is None else f' for "{printable(ask.rp_id)}"'
        self.say(f"\n? {ask.act.value}{where}\n  Enter = touch, n Enter = refuse ({timeout_seconds:.0f} s)")
        self._waiting = self._loop.create_future()
        try:
            async with asyncio.timeout(timeout_seconds):
                answer = await self._waiting
        except TimeoutError:
            answer = Answer.TIMED_OUT
        except asyncio.CancelledError:
            self.say("  cancelled by the client")
            raise
        finally:
            self._waiting = None
        self.say(f"  {answer.value}")
        return answer

    def _discard_typed(self) -> None:
        with suppress(termios.error):  # a terminal also holds an unfinished line that no read shows
            termios.tcflush(self._descriptor, termios.TCIFLUSH)
        while self._is_readable():
            if not os.read(self._descriptor, MAX_LINE_BYTES):
                self._end()
                break
        self._line = b""

    def _is_readable(self) -> bool:
        return bool(select.select([self._descriptor], [], [], 0)[0])

    def _read(self) -> None:
        # A question may have thrown away what this call was queued for; a read would then stop the loop.
        if not self._is_readable():
            return
        try:
            data = os.read(self._descriptor, MAX_LINE_BYTES)
        except OSError:  # EIO: the terminal went away
            data = b""
        if not data:
            self._end()
            return
        *lines, self._line = (self._line + data).split(b"\n")
        self._line = self._line[-MAX_LINE_BYTES:]
        for line in lines:
            self._take(line.strip().lower())

    def _take(self, line: bytes) -> None:
        if self._waiting is None or self._waiting.done():
            self.say("  nothing is asked")
        elif line == b"":
            self._waiting.set_result(Answer.TOUCHED)
        elif line in {b"n", b"no"}:
            self._waiting.set_result(Answer.REFUSED)
        else:
            self.say("  Enter alone is the touch; n Enter refuses")

    def _end(self) -> None:
        self.stop()
        self._ended.set()


def show(text: str) -> None:
    """Print ``text`` at once."""
    print(text, flush=True)


def error(message: str) -> None:
    """Print an error as ownerctl does."""
    print(f"ownerd-softtoken: error: {message}", file=sys.stderr, flush=True)
