"""`Pkcs11Tokens`: the token port over PKCS#11 modules, for national eIDs and HSMs.

Coroutines decide, `ownerd.tokens.pkcs11_session` blocks, one worker per module keeps the two apart. Each visit opens
a session and closes it; while a person types, nothing is held. The library is imported at the first use.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

from ownerd.core.ports import Recognised, TokenUi
from ownerd.model.errors import (
    Busy,
    ConfigError,
    OwnerdError,
    ProtocolBroken,
    TokenMissing,
    TokenRemoved,
    Unsupported,
)
from ownerd.model.secret import Secret
from ownerd.model.token import SecretHandle, TokenAnswer, TokenCredential, TokenInfo
from ownerd.tokens.limit import Limit
from ownerd.tokens.pkcs11_module import Module, open_modules
from ownerd.tokens.pkcs11_verify import require_arguments, verify_secrets
from ownerd.tokens.presence import Sight

if TYPE_CHECKING:
    from pkcs11._pkcs11 import lib as Library  # noqa: N812 - a class, whatever it is called

    from ownerd.tokens.pkcs11_session import Found, Held, Place

T = TypeVar("T")


class Pkcs11Tokens:
    """Tokens reached through PKCS#11 modules. Implements `TokenPort`.

    ``modules`` are absolute paths; ``key_check`` computes the key check value of a secret. Raises `ConfigError` for a
    path that is not safe to load. A listing may take ``step_timeout_seconds`` for each module, a signature (which
    a token may want touched) ``use_timeout_seconds``.
    """

    def __init__(
        self,
        modules: Sequence[str],
        *,
        key_check: Callable[[Secret], bytes],
        step_timeout_seconds: float = 10.0,
        use_timeout_seconds: float = 30.0,
        logger: logging.Logger | None = None,
    ) -> None:
        self._modules = open_modules(modules)
        self._key_check = key_check
        self._step_timeout_seconds = step_timeout_seconds
        self._use_timeout_seconds = use_timeout_seconds
        self._log = logger or logging.getLogger(__name__)
        self._located: dict[str, Place] = {}
        self._told: dict[str, str] = {}

    # -- the port --

    async def present(self) -> list[TokenInfo]:
        """List the tokens that are present; see `TokenPort.present`. A module that fails is left out."""
        found, _ = await self._list()
        return [one.info for one in found]

    async def enrol(self, token_id: str, *, user_verification: bool, ui: TokenUi) -> TokenCredential:
        """Choose keys that are on the token already and prove with its PIN that they work; makes none.

        Raises `Unsupported` when there is none to sign with; without one to agree with, the token only signs.
        """
        if not user_verification:
            raise Unsupported("a PKCS#11 token is always used with its PIN")
        place = await self._place(token_id)
        info = await self._visit(place, lambda held: held.require_tries())
        pin = await ui.pin(info)
        credential: TokenCredential = await self._visit(
            place, lambda held: _work().enrol(held, info, pin), use=True
        )
        self._located[credential.id] = place
        return credential

    async def read_head(self, *_: object) -> bytes | None:
        """Raise `Unsupported`: data objects behind a module are not there before its PIN, if at all."""
        raise Unsupported("this kind of token keeps no head")

    async def write_head(self, *_: object, **__: object) -> None:
        """Raise `Unsupported`, as `read_head`."""
        raise Unsupported("this kind of token keeps no head")

    async def locate(self, credentials: Sequence[TokenCredential]) -> TokenCredential:
        """Find the token of one of ``credentials``; see `TokenPort.locate`. Never logs in.

        A token is found by the enrolled public key or certificate on it, or, where it shows none of that CKA_ID
        before a login, by the serial number and label that it had when it was enrolled.
        """
        wanted = [one for one in credentials if one.type == "pkcs11"]
        if not wanted:
            raise TokenMissing("no PKCS#11 token is enrolled")
        places, problems = await self._recognise(wanted)
        for credential in wanted:
            if credential.id in places:
                self._located[credential.id] = places[credential.id]
                return credential
        raise _worst(problems) or TokenMissing("no enrolled token is present")

    async def recognise(self, credentials: Sequence[TokenCredential]) -> Recognised:
        """Tell which present tokens have which of ``credentials``; see `TokenPort.recognise`."""
        places, problems = await self._recognise(credentials)
        self._located |= places
        busy = tuple(str(problem) for problem in problems if isinstance(problem, Busy))
        return Recognised({token_id: place.id for token_id, place in places.items()}, busy)

    async def approve(
        self,
        credential: TokenCredential,
        challenge: bytes,
        handles: Sequence[SecretHandle],
        *,
        ui: TokenUi,
    ) -> TokenAnswer:
        """Sign ``challenge`` and agree on the secrets behind ``handles`` under one typed PIN.

        See `TokenPort.approve`. The token signs `card_message`; everything is verified before it is returned.
        """
        require_arguments(credential, challenge, handles)
        place, info = await self._ready(credential)
        pin = await ui.pin(info)
        points = [handle.salt for handle in handles]
        answer: TokenAnswer = await self._visit(
            place, lambda held: _work().approve(held, credential, challenge, points, pin), use=True
        )
        verify_secrets(answer.secrets, handles, self._key_check)
        return answer

    async def make_keys(self, *_: object, **__: object) -> None:
        """Raise `Unsupported`: keys are its own software's to make."""
        raise Unsupported("ownerd makes keys on PIV cards alone; use the token's own software")

    async def change_pin(self, token_id: str, *, ui: TokenUi) -> None:
        """Change the PIN of a present token; see `TokenPort.change_pin`. A first one is its own software's to set."""
        place = await self._place(token_id)
        info = await self._visit(place, lambda held: held.require_tries(at_risk=True))
        old = await ui.pin(info)
        new = await ui.new_pin(info)

        def change(held: Held) -> None:
            if held.require_tries(at_risk=True) != info:
                raise Busy("the token's tries changed meanwhile; no PIN was sent")
            held.set_pin(old, new)

        await self._visit(place, change, use=True)

    async def sight(self, credential: TokenCredential) -> Sight | None:
        """Whether a located token is still in its slot; None: nobody can tell. See `ownerd.tokens.presence`."""
        place = self._located.get(credential.id)
        if place is None:
            return Sight(None)
        outcome = await self._list_one(place.module)
        if isinstance(outcome, OwnerdError):
            return None
        return Sight(place.id if any(one.place == place for one in outcome) else None)

    # -- parts --

    async def _recognise(
        self, wanted: Sequence[TokenCredential]
    ) -> tuple[dict[str, Place], list[OwnerdError]]:
        found, problems = await self._list()
        outcomes = await asyncio.gather(
            *(self._visit(one.place, lambda held: _work().recognise(held, wanted)) for one in found),
            return_exceptions=True,
        )
        places: dict[str, Place] = {}
        for one, outcome in zip(found, outcomes, strict=True):
            if isinstance(outcome, OwnerdError):
                problems.append(outcome)
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                for token_id in outcome:
                    places.setdefault(token_id, one.place)
        return places, problems

    async def _place(self, token_id: str) -> Place:
        found, problems = await self._list()
        place = next((one.place for one in found if one.info.id == token_id), None)
        if place is None:
            raise _worst(problems) or TokenMissing("that token is not present")
        return place

    async def _list(self) -> tuple[list[Found], list[OwnerdError]]:
        outcomes = await asyncio.gather(*(self._list_one(module) for module in self._modules))
        found = [one for outcome in outcomes if isinstance(outcome, list) for one in outcome]
        return found, [outcome for outcome in outcomes if isinstance(outcome, OwnerdError)]

    async def _list_one(self, module: Module) -> list[Found] | OwnerdError:
        def work(library: Library, _: Limit) -> list[Found]:
            from ownerd.tokens.pkcs11_session import list_tokens

            return list_tokens(module, library)

        try:
            found = await module.run(work, self._step_timeout_seconds)
        except OwnerdError as error:
            if self._told.get(module.path) != error.id:  # once, not at each look
                self._log.warning("left out the PKCS#11 module %s: %s", module.name, error)
            self._told[module.path] = error.id
            return error
        self._told.pop(module.path, None)
        return found

    async def _visit(self, place: Place, work: Callable[[Held], T], *, use: bool = False) -> T:
        def visit(library: Library, limit: Limit) -> T:
            from ownerd.tokens.pkcs11_session import Held

            return work(Held(place, library, limit))

        seconds = self._use_timeout_seconds if use else self._step_timeout_seconds
        return await place.module.run(visit, seconds)

    async def _ready(self, credential: TokenCredential) -> tuple[Place, TokenInfo]:
        """Where the enrolled token is, and what it says of itself; looks for it where it was seen last first."""
        known = self._located.pop(credential.id, None)
        if known is not None:
            with suppress(TokenMissing, TokenRemoved):
                info = await self._visit(known, lambda held: _work().require(held, credential))
                self._located[credential.id] = known
                return known, info
        await self.locate([credential])
        place = self._located[credential.id]
        return place, await self._visit(place, lambda held: _work().require(held, credential))


def _work() -> ModuleType:
    """The blocking half, which imports the library; called on a worker."""
    from ownerd.tokens import pkcs11_work

    return pkcs11_work


def _worst(problems: Sequence[OwnerdError]) -> OwnerdError | None:
    """The problem to tell of when nothing was found."""
    for kind in (ConfigError, Busy, ProtocolBroken):
        for problem in problems:
            if isinstance(problem, kind):
                return problem
    return None
