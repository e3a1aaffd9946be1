"""The part of the Assuan protocol that a pinentry needs, client side, strict.

Lines end in LF and hold at most 1,000 bytes before it. The client sends ``COMMAND arguments``; the server
answers with any number of ``S keyword …`` (status), ``D bytes`` (data) and ``# …`` (comment) lines and then
one ``OK`` or ``ERR code …``. In data and arguments ``%``, CR and LF are written ``%25``, ``%0D``, ``%0A``.
``INQUIRE`` is never expected: we send no command that asks back. Specification: the libassuan manual,
"Client requests" and "Server responses".

Whatever breaks this is an `InternalError` whose message holds none of the bytes: they may be a PIN.

Error codes are libgpg-error's: the source in the high bits, the code itself in the low 16.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Final, Protocol

from msgspec import Struct

from ownerd.model.errors import Dismissed, InternalError, InvalidArgument

MAX_LINE_BYTES: Final = 1000
MAX_REPLY_LINES: Final = 64
MAX_DATA_BYTES: Final = 2048

CODE_TIMEOUT: Final = 62
CODE_CANCELED: Final = 99
CODE_NOT_CONFIRMED: Final = 114
CODE_FULLY_CANCELED: Final = 198
CODE_WINDOW_TOO_SMALL: Final = 301

_MUST_ESCAPE: Final = {0x25: b"%25", 0x0D: b"%0D", 0x0A: b"%0A"}
_ESCAPE = re.compile(rb"%(.{0,2})", re.DOTALL)
_COMMAND = re.compile(rb"[A-Z]+", re.ASCII)
_ERROR = re.compile(rb"ERR ([0-9]{1,10})(?: .*)?", re.DOTALL)


class Reply(Struct, frozen=True):
    """One complete answer: ``error`` is None after OK, else the low 16 bits of the code."""

    data: bytes | None
    error: int | None
    bare_ok: bool


class LineReader(Protocol):
    """What `Client` reads from: `asyncio.StreamReader` has it."""

    async def readuntil(self, separator: bytes = b"\n") -> bytes:
        """Return bytes up to and with ``separator``."""


def format_escaped(data: bytes) -> bytes:
    """Percent-escape ``%``, CR and LF."""
    return b"".join(_MUST_ESCAPE.get(byte, bytes([byte])) for byte in data)


def parse_escaped(text: bytes) -> bytes:
    """Undo percent-escaping; any escaped byte is accepted, as the protocol has it.

    Raises `InternalError` for a stray ``%`` and for bytes that had to be escaped.
    """

    def decode(match: re.Match[bytes]) -> bytes:
        digits = match.group(1)
        if not re.fullmatch(rb"[0-9A-Fa-f]{2}", digits):
            raise InternalError("bad escape from the pinentry")
        return bytes([int(digits, 16)])

    if b"\r" in text or b"\n" in text:
        raise InternalError("unescaped line end from the pinentry")
    return _ESCAPE.sub(decode, text)


def format_command(command: str, argument: str = "") -> bytes:
    """One line to send. Raises `InvalidArgument` when it would be longer than `MAX_LINE_BYTES`."""
    name = command.encode("ascii")
    if not _COMMAND.fullmatch(name):
        raise InvalidArgument("not an Assuan command")
    line = name + (b" " + format_escaped(argument.encode("utf-8")) if argument else b"")
    if len(line) > MAX_LINE_BYTES:
        raise InvalidArgument("the text is too long for a prompt")
    return line + b"\n"


def room_for(command: str) -> int:
    """How many escaped bytes of argument fit behind ``command``."""
    return MAX_LINE_BYTES - len(command) - 1


class Client:
    """One conversation over a line reader and a writer function. Not concurrent."""

    def __init__(self, reader: LineReader, write: Callable[[bytes], None]) -> None:
        self._reader = reader
        self._write = write
        self._flavor = b""

    async def greeting(self) -> None:
        """Wait for the server's first OK. Raises `InternalError` when it is anything else."""
        if (await self._reply()).error is not None:
            raise InternalError("the pinentry refused to start")

    async def transact(self, command: str, argument: str = "") -> Reply:
        """Send one command and return its answer.

        Raises `InternalError` for a broken answer and `Dismissed` when the other side is gone.
        """
        line = format_command(command, argument)
        try:
            self._write(line)
        except ConnectionError as error:
            raise Dismissed("the prompt was closed") from error
        return await self._reply()

    async def require(self, command: str, argument: str = "") -> bytes:
        """`transact` that insists on OK and returns the data."""
        reply = await self.transact(command, argument)
        if reply.error is not None:
            raise InternalError(f"the pinentry refused {command}, code {reply.error}")
        return reply.data or b""

    async def learn_flavor(self) -> bytes:
        """What kind of pinentry this is, as it says itself."""
        self._flavor = await self.require("GETINFO", "flavor")
        return self._flavor

    async def require_in_step(self) -> None:
        """Raise `InternalError` unless the next answer belongs to the next command.

        One OK too many, anywhere before, would else be taken for the owner's answer. A command whose answer
        holds data shows it.
        """
        if not self._flavor or await self.require("GETINFO", "flavor") != self._flavor:
            raise InternalError("the pinentry is out of step")

    async def _line(self) -> bytes:
        try:
            line = await self._reader.readuntil(b"\n")
        except (EOFError, ConnectionError) as error:  # IncompleteReadError is an EOFError
            raise Dismissed("the prompt was closed") from error
        except asyncio.LimitOverrunError as error:
            raise InternalError("oversized line from the pinentry") from error
        if len(line) > MAX_LINE_BYTES + 1:
            raise InternalError("oversized line from the pinentry")
        return line[:-1]

    async def _reply(self) -> Reply:
        data: bytes | None = None
        for _ in range(MAX_REPLY_LINES):
            line = await self._line()
            if line == b"OK" or line.startswith(b"OK "):
                return Reply(data, None, line == b"OK")
            if found := _ERROR.fullmatch(line):
                return Reply(None, int(found.group(1)) & 0xFFFF or 1, bare_ok=False)
            if line.startswith(b"D "):
                data = (data or b"") + parse_escaped(line[2:])
                if len(data) > MAX_DATA_BYTES:
                    raise InternalError("too much data from the pinentry")
            elif not line.startswith((b"S ", b"#")):
                raise InternalError("unexpected line from the pinentry")
        raise InternalError("endless answer from the pinentry")
