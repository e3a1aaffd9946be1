"""Removal of the token that opened the vault, noticed without speaking to the token.

A look asks the transport alone: the device node (USB), the listening socket (software token), the reader's state
and event counter (PC/SC). Only when what it shows has changed is the token itself asked who it is, because our own
access re-enumerates some devices, and because the same node or reader may hold another token now. What cannot be
told (an operation of ours holds the token, pcscd restarts) counts neither way.

Cards on contactless readers are lifted off at once and are not watched: a token counts as one that stays when its
ATR is not that of a contactless card (PC/SC part 3, 3.1.3.2.3: ``3B 8n 80 01``). That is remembered of each reader's
card from when it was spoken to: at the first look it may be gone.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from msgspec import Struct

from ownerd.core.ports import TokenPort
from ownerd.model.errors import Busy, OwnerdError
from ownerd.model.paths import runtime_dir
from ownerd.model.token import TokenCredential
from ownerd.tokens.candidate import Candidate, reader_id

LOOKS: Final = 2
INTERVAL_SECONDS: Final = 1.5

_UNIX_SOCKETS: Final = Path("/proc/net/unix")
_LISTENING: Final = "00010000"
_UNIX_COLUMNS: Final = 8
_STAYING: Final[dict[str, bool]] = {}  # by `reader_id`
_CONTACTLESS_TD: Final = (0x80, 0x01)


class Sight(Struct, frozen=True):
    """What a transport shows of a token.

    ``trace`` is another one whenever the token may have been away, and None while it is. ``stays``: whether the
    token is of those that stay inserted.
    """

    trace: str | None
    stays: bool = True


class Watched(Protocol):
    """What `RemovalWatch` needs of a token adapter."""

    async def sight(self, credential: TokenCredential) -> Sight | None:
        """Look for a token that was located before, without speaking to it; None: nobody can tell now."""

    async def locate(self, credentials: Sequence[TokenCredential]) -> TokenCredential:
        """See `ownerd.core.ports.TokenPort.locate`."""


class Adapter(TokenPort, Watched, Protocol):
    """What a module for one type of token is: the port, and a look for a token."""


class RemovalWatch:
    """Waits until one token has been away for ``looks`` looks, ``interval_seconds`` apart."""

    def __init__(
        self, tokens: Watched, *, looks: int = LOOKS, interval_seconds: float = INTERVAL_SECONDS
    ) -> None:
        self._tokens = tokens
        self._looks = looks
        self._interval_seconds = interval_seconds

    async def wait_removed(self, credential: TokenCredential) -> bool:
        """Return True when the token was removed, False when it is not one that stays inserted."""
        first = await self._tokens.sight(credential)
        # What is seen later than at once may be another in its place: then the token itself is asked.
        known, away = (None if first is None else first.trace), 0
        if not (first or await self._look(credential)).stays:
            return False
        while away < self._looks:
            await asyncio.sleep(self._interval_seconds)
            seen = await self._look(credential)
            if seen.trace is not None and seen.trace == known:
                away = 0
                continue
            answers = await self._answers(credential)
            if answers:
                # Perhaps in another place than before.
                known, away = (await self._look(credential)).trace, 0
            elif answers is False or seen.trace is None:
                away += 1
        return True

    async def _look(self, credential: TokenCredential) -> Sight:
        """The next look that tells something."""
        while True:
            seen = await self._tokens.sight(credential)
            if seen is not None:
                return seen
            await asyncio.sleep(self._interval_seconds)

    async def _answers(self, credential: TokenCredential) -> bool | None:
        """Whether the token itself says that it is there; None: it could not be asked.

        What is there and does not answer, or answers with other keys, is not the token.
        """
        try:
            await self._tokens.locate([credential])
        except Busy:
            return None
        except OwnerdError:
            return False
        return True


# -- looking --


def sight(candidate: Candidate) -> Sight | None:
    """Look for ``candidate`` where its finder saw it; blocks for as long as pcscd does."""
    transport, _, name = candidate.id.partition("-")
    look = _LOOKS[transport]
    return look(name)


def see_usb(name: str, devices: Path = Path("/dev")) -> Sight:
    """A hidraw node; a device that comes back gets a new inode, whatever its number."""
    try:
        status = (devices / name).stat()
    except OSError:
        return Sight(None)
    return Sight(f"{status.st_dev}:{status.st_ino}")


def see_software(name: str, sockets: Path = _UNIX_SOCKETS) -> Sight | None:
    """A software token's listening socket, by its number in the kernel: the file outlives a killed process."""
    path = os.fsencode(runtime_dir() / f"softtoken-{name}.sock").decode("utf-8", "replace")
    try:
        lines = sockets.read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    for line in lines:
        # Num RefCount Protocol Flags Type St Inode Path (proc_net_unix)
        parts = line.split(None, _UNIX_COLUMNS - 1)
        if len(parts) == _UNIX_COLUMNS and parts[3] == _LISTENING and parts[7] == path:
            return Sight(parts[6])
    return Sight(None)


def see_card(name: str) -> Sight | None:
    """The card in a reader: whether it is there, and the reader's count of insertions and removals."""
    from smartcard import scard

    gone = Sight(None, stays=_STAYING.get(f"pcsc-{name}", True))
    result, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
    if result != scard.SCARD_S_SUCCESS:
        return None
    try:
        result, readers = scard.SCardListReaders(context, [])
        if result == scard.SCARD_E_NO_READERS_AVAILABLE:
            return gone
        if result != scard.SCARD_S_SUCCESS:
            return None
        for reader in readers:
            if reader_id(reader) == f"pcsc-{name}":
                return _see_reader(scard, context, reader, gone)
        return gone
    finally:
        scard.SCardReleaseContext(context)


def _see_reader(scard: Any, context: Any, reader: str, gone: Sight) -> Sight | None:
    result, states = scard.SCardGetStatusChange(context, 0, [(reader, scard.SCARD_STATE_UNAWARE)])
    if result != scard.SCARD_S_SUCCESS:
        return None
    _, state, atr = states[0]
    if not state & scard.SCARD_STATE_PRESENT:
        return gone
    # The upper half counts events (pcsc-lite); it begins anew with pcscd. A card that is not powered shows no ATR.
    return Sight(f"{reader}:{state >> 16}", stays=not is_contactless(bytes(atr)) if atr else gone.stays)


def remember_card(reader: str, atr: bytes) -> None:
    """Say which card ``reader`` (PC/SC's name) has, while it is spoken to."""
    _STAYING[reader_id(reader)] = not is_contactless(atr)


def is_contactless(atr: bytes) -> bool:
    """Whether an ATR is the one that PC/SC makes for a contactless card, which has none of its own."""
    return len(atr) >= 4 and atr[0] == 0x3B and atr[1] >> 4 == 8 and tuple(atr[2:4]) == _CONTACTLESS_TD


_LOOKS: Final[dict[str, Callable[[str], Sight | None]]] = {
    "usb": see_usb,
    "software": see_software,
    "pcsc": see_card,
}
