"""Prompts through pinentry, run as the daemon's own child for one question at a time.

On a lent terminal it is pinentry-tty or -curses, else a graphical one where there is a display. A question
is answered with yes only by a bare ``OK`` to the last ``CONFIRM``: whatever else happens is a no or an
error. The child gets a session of its own, so that job control of the lent terminal leaves it alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import unicodedata
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Coroutine, Mapping
from pathlib import Path
from typing import Final

from ownerd.core.ports import MAX_TYPED_BYTES, Typed
from ownerd.model.caller import Terminal
from ownerd.model.errors import (
    ConfigError,
    Dismissed,
    InternalError,
    InvalidArgument,
    NotFound,
    NotSupported,
    TimedOut,
)
from ownerd.model.plain import is_plain
from ownerd.model.secret import Secret
from ownerd.prompt import assuan, programs
from ownerd.prompt.pages import keep_plain, split_pages
from ownerd.prompt.terminal import BorrowedTerminal, is_usable, pinentry_options

MIN_TYPED_BYTES: Final = 4
TITLE: Final = "ownerd"
_NEXT_LABEL: Final = "Next page"
_HANDSHAKE_SECONDS: Final = 10.0
_GRACE_SECONDS: Final = 2.0
_END_SECONDS: Final = 1.0
_SAID_NO: Final = frozenset(
    {assuan.CODE_CANCELED, assuan.CODE_NOT_CONFIRMED, assuan.CODE_FULLY_CANCELED},
)


class Pinentry:
    """The question half of `ownerd.core.ports.PromptPort`.

    ``program`` (a path, or a name on PATH) is taken before any other where its kind fits: a graphical one
    does not serve terminals. Raises `ConfigError` when it may not be run. ``environment`` is the daemon's own. ``grace_seconds`` is how much later than the pinentry's own
    time-out we end it; ``handshake_seconds`` how long it may take to start talking.
    """

    def __init__(
        self,
        *,
        program: str | None = None,
        environment: Mapping[str, str] | None = None,
        handshake_seconds: float = _HANDSHAKE_SECONDS,
        grace_seconds: float = _GRACE_SECONDS,
    ) -> None:
        self._environment = dict(os.environ if environment is None else environment)
        self._program = None if program is None else programs.require_program(program, self._environment)
        self._handshake_seconds = handshake_seconds
        self._grace_seconds = grace_seconds

    def can_prompt(self, terminal: Terminal | None) -> bool:
        """Whether a prompt can be shown on ``terminal``, or (None) on a display."""
        if terminal is None:
            if not programs.has_display(self._environment):
                return False
        elif not is_usable(terminal):
            return False
        return self._find(graphical=terminal is None) is not None

    async def pin(
        self,
        terminal: Terminal | None,
        *,
        description: str,
        timeout_seconds: float,
        asks: Typed = "PIN",
    ) -> Secret:
        """Ask for a PIN: 4 to 63 bytes of UTF-8 in form NFC (CTAP 2.1 section 6.5.1), or for what else ``asks`` names.

        Raises `Dismissed`, `TimedOut`, `NotFound` (no terminal, display or pinentry), `InvalidArgument`
        (a description that is not plain or too long, a PIN out of bounds), `ConfigError`, `InternalError`.
        """
        _require_plain(description)
        async with self._conversation(terminal, timeout_seconds) as client:
            await client.require("SETDESC", keep_plain(description))
            await client.require("SETPROMPT", f"{asks}:")
            reply = await self._ask(client, "GETPIN", timeout_seconds)
        if reply.error in _SAID_NO:
            raise Dismissed("the PIN prompt was closed")
        _raise_failure(reply)
        return _typed(reply.data or b"", asks)

    async def confirm(
        self,
        terminal: Terminal | None,
        *,
        description: str,
        approve_label: str,
        refuse_label: str,
        timeout_seconds: float,
    ) -> bool:
        """Show ``description``, over several pages where it is long; True when every page was accepted.

        Refusing or closing any page is False. Raises as `pin` does; `Dismissed` when the pinentry died.
        """
        for text in (description, approve_label, refuse_label):
            _require_plain(text)
        pages = split_pages(description, assuan.room_for("SETDESC"))
        async with self._conversation(terminal, timeout_seconds) as client:
            await client.require("SETCANCEL", _label(refuse_label))
            for number, page in enumerate(pages, 1):
                last = number == len(pages)
                await client.require("SETDESC", page)
                await client.require("SETOK", _label(approve_label if last else _NEXT_LABEL))
                reply = await self._ask(client, "CONFIRM", timeout_seconds)
                if reply.error in _SAID_NO:
                    return False
                _raise_failure(reply)
                if reply.data is not None or not reply.bare_ok:
                    raise InternalError("data in answer to a confirmation")
        return True

    # -- one conversation --

    def _find(self, *, graphical: bool) -> Path | None:
        if self._program is not None and programs.serves(self._program, graphical=graphical):
            # Looked at again: it may have been replaced since the start.
            return programs.resolve_program(self._program)
        names = programs.GRAPHICAL_PROGRAMS if graphical else programs.TERMINAL_PROGRAMS
        return programs.find_program(names, self._environment)

    @contextlib.asynccontextmanager
    async def _conversation(
        self, terminal: Terminal | None, timeout_seconds: float
    ) -> AsyncIterator[assuan.Client]:
        """A pinentry that is ready to be asked; ended, and the terminal put back, however this is left."""
        graphical = terminal is None
        if graphical and not programs.has_display(self._environment):
            raise NotFound("no terminal and no display for a prompt")
        program = self._find(graphical=graphical)
        if program is None:
            raise NotFound("no pinentry that may be used here")
        with contextlib.ExitStack() as stack:
            borrowed = None if terminal is None else stack.enter_context(BorrowedTerminal(terminal))
            process = await self._start(program, graphical=graphical)
            if borrowed is not None:
                stack.enter_context(borrowed.hangup_calls(lambda: _signal(process, signal.SIGTERM)))
            answered = False
            try:
                yield await self._handshake(process, terminal, timeout_seconds)
                answered = True
            finally:
                await _uninterrupted(_end(process, borrowed, politely=answered))

    async def _start(self, program: Path, *, graphical: bool) -> Process:
        try:
            return await asyncio.create_subprocess_exec(
                program,
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                env=programs.child_environment(self._environment, graphical=graphical),
                cwd="/",
                limit=assuan.MAX_LINE_BYTES + 1,
                start_new_session=True,
            )
        except OSError as error:
            raise NotFound("the pinentry does not start") from error

    async def _handshake(
        self, process: Process, terminal: Terminal | None, timeout_seconds: float
    ) -> assuan.Client:
        assert process.stdin is not None
        assert process.stdout is not None
        client = assuan.Client(process.stdout, process.stdin.write)
        options = [] if terminal is None else pinentry_options(terminal)
        try:
            async with asyncio.timeout(self._handshake_seconds):
                await client.greeting()
                _require_flavor(await client.learn_flavor(), graphical=terminal is None)
                for option in ["no-grab", *options]:
                    await client.require("OPTION", option)
                await client.require("SETTITLE", TITLE)
                await client.require("SETTIMEOUT", str(max(1, math.ceil(timeout_seconds))))
        except TimeoutError as error:
            raise InternalError("the pinentry does not answer") from error
        return client

    async def _ask(self, client: assuan.Client, command: str, timeout_seconds: float) -> assuan.Reply:
        try:
            async with asyncio.timeout(timeout_seconds + self._grace_seconds):
                await client.require_in_step()
                return await client.transact(command)
        except TimeoutError as error:
            raise TimedOut("nobody answered the prompt") from error


async def _end(process: Process, borrowed: BorrowedTerminal | None, *, politely: bool) -> None:
    """End the child, and whatever it started, by its own process group."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(ConnectionError):
        if politely:
            process.stdin.write(assuan.format_command("BYE"))
        process.stdin.close()
    for sent in (None, signal.SIGTERM, signal.SIGKILL) if politely else (signal.SIGTERM, signal.SIGKILL):
        if sent is not None:
            _signal(process, sent)
        try:
            async with asyncio.timeout(_END_SECONDS):
                code = await process.wait()
                # A pipe that still holds output would never be seen to end, and so never be closed.
                while await process.stdout.read(assuan.MAX_LINE_BYTES):
                    pass
        except TimeoutError:
            continue
        if borrowed is not None:
            borrowed.finished = politely and code == 0
        return


def _signal(process: Process, sent: signal.Signals) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sent)


async def _uninterrupted(work: Coroutine[None, None, None]) -> None:
    """Run ``work`` to its end even when the calling task is cancelled meanwhile; then be cancelled."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled


def _require_plain(text: str) -> None:
    if not is_plain(text, newlines=True):
        raise InvalidArgument("a prompt text has characters that would not be seen")


def _require_flavor(reported: bytes, *, graphical: bool) -> None:
    """The last word on which pinentry this is: ``qt`` or ``gtk2:curses`` (fallen back), as it says itself."""
    flavor, _, fallen_back = reported.decode("ascii", "replace").partition(":")
    if graphical:
        fits = flavor in programs.GRAPHICAL_FLAVORS and not fallen_back
    else:
        fits = flavor in programs.TERMINAL_FLAVORS or (
            flavor in programs.GRAPHICAL_FLAVORS and fallen_back == "curses"
        )
    if not fits:
        raise ConfigError("this pinentry may not be used here; see ownerd(8)")


def _raise_failure(reply: assuan.Reply) -> None:
    if reply.error == assuan.CODE_TIMEOUT:
        raise TimedOut("nobody answered the prompt")
    if reply.error == assuan.CODE_WINDOW_TOO_SMALL:
        raise NotSupported("the terminal is too small for this prompt")
    if reply.error is not None:
        raise InternalError(f"the pinentry failed with code {reply.error}")


def _label(text: str) -> str:
    """A button's text; an underscore would mark the key that presses it."""
    return text.replace("_", "__")


def _typed(data: bytes, asks: Typed) -> Secret:
    try:
        typed = unicodedata.normalize("NFC", data.decode("utf-8")).encode("utf-8")
    except UnicodeDecodeError:
        # The cause is cut off: a UnicodeDecodeError holds the bytes that were typed.
        raise InvalidArgument("what was typed is not UTF-8") from None
    most = MAX_TYPED_BYTES[asks]
    if not MIN_TYPED_BYTES <= len(typed) <= most or b"\0" in typed:
        raise InvalidArgument(
            f"a {asks if asks == 'PIN' else asks.lower()} has {MIN_TYPED_BYTES} to {most} bytes"
        )
    return Secret(typed)
