"""`AllTokens`: several token adapters behind the one port.

A token's type names its adapter: a present token's id begins with ``TYPE-``, or is FIDO2's; a credential has `type`.
Adapters are made at their first use: a daemon that only says "locked" needs no token library. They are asked one
after the other, because two of them may look at the same card.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from ownerd.core.ports import Recognised, TokenUi
from ownerd.model.errors import OwnerdError, TokenMissing, Unsupported
from ownerd.model.token import CurveName, SecretHandle, TokenAnswer, TokenCredential, TokenInfo, TokenType
from ownerd.tokens.presence import Adapter, Sight

_DEFAULT: Final[TokenType] = "fido2"


class AllTokens:
    """Routes every call to the adapter of the token's type. Implements `TokenPort`."""

    def __init__(
        self, makers: Mapping[TokenType, Callable[[], Adapter]], *, logger: logging.Logger | None = None
    ) -> None:
        self._makers = dict(makers)
        self._made: dict[TokenType, Adapter] = {}
        self._log = logger or logging.getLogger(__name__)
        self._present: dict[TokenType, list[TokenInfo]] = {}
        self._recognised: dict[TokenType, Recognised] = {}
        self._working: list[TokenType] = []

    async def present(self) -> list[TokenInfo]:
        """List the tokens of every adapter; one that fails is left out.

        While one adapter waits for the person, the others answer from memory: a card may be theirs too, and is busy.
        """
        for kind in self._makers:
            if self._working and kind not in self._working:
                continue
            self._present[kind] = []
            try:
                self._present[kind] = await self._of_type(kind).present()
            except OwnerdError as error:
                self._log.warning("%s tokens are left out: %s", kind, error.id)
        return [info for kind in self._makers for info in self._present.get(kind, [])]

    async def enrol(self, token_id: str, *, user_verification: bool, ui: TokenUi) -> TokenCredential:
        """Enrol the present token ``token_id``."""
        kind = self._kind_of_id(token_id)
        with self._at_work(kind):
            return await self._of_type(kind).enrol(token_id, user_verification=user_verification, ui=ui)

    async def make_keys(
        self, token_id: str, algorithm: CurveName, *, keep: Sequence[TokenCredential], ui: TokenUi
    ) -> None:
        """Make new keys on the present card ``token_id``."""
        kind = self._kind_of_id(token_id)
        with self._at_work(kind):
            await self._of_type(kind).make_keys(token_id, algorithm, keep=keep, ui=ui)

    async def locate(self, credentials: Sequence[TokenCredential]) -> TokenCredential:
        """Return the first of ``credentials`` whose token is present, whatever its type."""
        wanted = list(credentials)
        best: TokenCredential | None = None
        problem: OwnerdError | None = None
        for kind in dict.fromkeys(credential.type for credential in credentials):
            # What another adapter has found already is only beaten by what stands before it.
            earlier = wanted[: wanted.index(best)] if best is not None else wanted
            mine = [credential for credential in earlier if credential.type == kind]
            if not mine:
                continue
            try:
                best = await self._of_type(kind).locate(mine)
            except OwnerdError as error:
                if problem is None or isinstance(problem, TokenMissing):
                    problem = error
        if best is not None:
            return best
        raise problem or TokenMissing("no token is enrolled")

    async def recognise(self, credentials: Sequence[TokenCredential]) -> Recognised:
        """What every adapter recognises of its own type's ``credentials``; from memory as in `present`."""
        for kind in self._makers:
            if not self._working or kind in self._working:
                mine = [one for one in credentials if one.type == kind]
                self._recognised[kind] = await self._of_type(kind).recognise(mine)
        seen = [self._recognised.get(kind, Recognised({})) for kind in self._makers]
        wanted = {credential.id for credential in credentials}
        tokens = {one: where for part in seen for one, where in part.tokens.items() if one in wanted}
        return Recognised(tokens, tuple(dict.fromkeys(name for part in seen for name in part.busy)))

    async def approve(
        self,
        credential: TokenCredential,
        challenge: bytes,
        handles: Sequence[SecretHandle],
        *,
        ui: TokenUi,
    ) -> TokenAnswer:
        """Approve with the adapter of the credential's type."""
        with self._at_work(credential.type):
            return await self._of_type(credential.type).approve(credential, challenge, handles, ui=ui)

    async def change_pin(self, token_id: str, *, ui: TokenUi) -> None:
        """Change the PIN of the present token ``token_id``."""
        kind = self._kind_of_id(token_id)
        with self._at_work(kind):
            await self._of_type(kind).change_pin(token_id, ui=ui)

    async def read_head(self, credential: TokenCredential) -> bytes | None:
        """Read the head that a token of the credential's type keeps."""
        with self._at_work(credential.type):
            return await self._of_type(credential.type).read_head(credential)

    async def write_head(
        self, credential: TokenCredential, note: bytes, expected: bytes | None, *, ui: TokenUi | None
    ) -> None:
        """Write the head that a token of the credential's type keeps."""
        with self._at_work(credential.type):
            await self._of_type(credential.type).write_head(credential, note, expected, ui=ui)

    async def sight(self, credential: TokenCredential) -> Sight | None:
        """Look for a token without speaking to it."""
        return await self._of_type(credential.type).sight(credential)

    @contextmanager
    def _at_work(self, kind: TokenType) -> Iterator[None]:
        self._working.append(kind)
        try:
            yield
        finally:
            self._working.remove(kind)

    def _of_type(self, kind: TokenType) -> Adapter:
        if kind not in self._made:
            if kind not in self._makers:
                raise Unsupported("this kind of token is not built in")
            self._made[kind] = self._makers[kind]()
        return self._made[kind]

    def _kind_of_id(self, token_id: str) -> TokenType:
        return next((kind for kind in self._makers if token_id.startswith(f"{kind}-")), _DEFAULT)
