"""A ledger's head on a FIDO2 token: the large blob of the enrolled credential.

Read without touch and PIN. Written without them where the token has no PIN; else the PIN is typed for this act alone.
Other credentials' blobs on the token stay as they are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from ownerd.core.ports import TokenUi
from ownerd.model.errors import Busy, InvalidArgument, PinNeeded, Unsupported
from ownerd.model.token import TokenCredential, TokenInfo
from ownerd.tokens.candidate import Candidate
from ownerd.tokens.faults import Undecided, as_token_errors
from ownerd.tokens.hold import Hold, Holds
from ownerd.tokens.session import Permission, Session

MAX_HEAD_BYTES: Final = 1024  # the least array that a token must have room for (section 6.10)

Require = Callable[[Hold, TokenInfo, TokenCredential], Awaitable[None]]


class Fido2Heads:
    """Reads and writes heads. ``where`` finds a credential's token; ``require`` raises for another one's."""

    def __init__(
        self, holds: Holds, where: Callable[[TokenCredential], Awaitable[Candidate]], require: Require
    ) -> None:
        self._holds = holds
        self._where = where
        self._require = require

    async def read(self, credential: TokenCredential) -> bytes | None:
        """See `TokenPort.read_head`."""
        candidate = await self._where(credential)
        async with self._holds.hold(candidate) as hold:
            return await hold.step(lambda session: _get(session, credential))

    async def write(
        self, credential: TokenCredential, note: bytes, expected: bytes | None, *, ui: TokenUi | None
    ) -> None:
        """See `TokenPort.write_head`; one typed PIN is sent once."""
        if len(note) > MAX_HEAD_BYTES:
            raise InvalidArgument("the head is too large for a token")
        candidate = await self._where(credential)
        async with self._holds.hold(candidate) as hold:
            info = await hold.step(Session.describe)
            if not info.has_pin:
                await hold.step(lambda session: _put(session, credential, note, expected))
                return
            if ui is None:
                raise PinNeeded("the token wants its PIN before it keeps a head")
            await self._require(hold, info, credential)
            await hold.step(Session.require_pin_tries)
        pin = await ui.pin(info)
        async with self._holds.hold(candidate) as hold:
            await self._require(hold, await hold.step(Session.describe), credential)
            await hold.step(lambda session: session.enter_pin(pin, Permission.LARGE_BLOB_WRITE))
            await hold.step(lambda session: _put(session, credential, note, expected))


def _get(session: Session, credential: TokenCredential) -> bytes | None:
    try:
        blobs, key = session.large_blobs(credential)
    except Undecided as error:
        raise Unsupported("the token tells nothing without a touch") from error
    with as_token_errors():
        return blobs.get_blob(key) or None


def _put(session: Session, credential: TokenCredential, note: bytes, expected: bytes | None) -> None:
    if _get(session, credential) != expected:
        raise Busy("another head was written on the token meanwhile")
    blobs, key = session.large_blobs(credential)
    with as_token_errors():
        blobs.put_blob(key, note)
