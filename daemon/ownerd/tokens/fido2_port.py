"""`Fido2Tokens`: the token port over python-fido2.

Coroutines decide, `ownerd.tokens.session` blocks, one `Worker` per token keeps the two apart. A device is held open
for a few commands at a time and never while a person types: transports are shared with other programs.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from ownerd.core.ports import Recognised, TokenUi
from ownerd.ledger.approval import CHALLENGE_BYTES, client_data
from ownerd.model.errors import (
    Busy,
    InvalidArgument,
    OwnerdError,
    PinNeeded,
    ProtocolBroken,
    TokenMissing,
    TokenRemoved,
    Unsupported,
)
from ownerd.model.secret import Secret
from ownerd.model.token import SecretHandle, TokenAnswer, TokenCredential, TokenInfo
from ownerd.tokens import verify
from ownerd.tokens.candidate import Candidate, Finder
from ownerd.tokens.faults import Undecided
from ownerd.tokens.fido2_heads import Fido2Heads
from ownerd.tokens.finders import DEFAULT_FINDERS
from ownerd.tokens.hold import Hold, Holds
from ownerd.tokens.limit import Limit
from ownerd.tokens.presence import Sight, sight
from ownerd.tokens.session import Permission, Session
from ownerd.tokens.traffic import forbid_traffic_log
from ownerd.tokens.worker import StepTimeout, Worker

SALT_BYTES: Final = 32
MAX_HANDLES: Final = 2
# A token that another program holds for longer is left out of lists.
BUSY_SECONDS: Final = 1.0


class _Look(Struct, frozen=True):
    """One token's part of `Fido2Tokens.recognise`."""

    found: Sequence[TokenCredential] = ()
    undecided: TokenInfo | None = None
    busy: str = ""


class Fido2Tokens:
    """FIDO2 tokens over USB, PC/SC and the software token's socket. Implements `TokenPort`.

    ``key_check`` computes the key check value of a secret; ``finders`` list candidates; ``touch_timeout_seconds``
    is what the person is told, and ``margin_seconds`` later an operation is cancelled whatever the token says.
    """

    def __init__(
        self,
        *,
        key_check: Callable[[Secret], bytes],
        finders: Sequence[Finder] = DEFAULT_FINDERS,
        touch_timeout_seconds: float = 30.0,
        margin_seconds: float = 5.0,
        step_timeout_seconds: float = 5.0,
        logger: logging.Logger | None = None,
    ) -> None:
        self._key_check = key_check
        self._touch_timeout_seconds = touch_timeout_seconds
        self._touch_limit_seconds = touch_timeout_seconds + margin_seconds
        self._log = logger or logging.getLogger(__name__)
        self._holds = Holds(finders, step_timeout_seconds, self._log)
        self._heads = Fido2Heads(self._holds, self._where, self._require_credential)
        self._step_timeout_seconds = step_timeout_seconds
        self._looker = Worker("ownerd-look")
        self._located: dict[str, Candidate] = {}
        self._described: dict[str, TokenInfo] = {}

    # -- the port --

    async def present(self) -> list[TokenInfo]:
        """List the usable tokens that are present; see `TokenPort.present`."""
        forbid_traffic_log()
        candidates = await self._holds.discover()
        described = await asyncio.gather(*(self._describe(candidate) for candidate in candidates))
        found = [info for info in described if info is not None]
        self._described = {info.id: info for info in found}
        return found

    async def enrol(self, token_id: str, *, user_verification: bool, ui: TokenUi) -> TokenCredential:
        """Make a credential on a token; see `TokenPort.enrol`.

        A token that has a PIN asks for it here even when it is enrolled for use without: CTAP makes a
        discoverable credential only for a verified user.
        """
        forbid_traffic_log()
        candidate = await self._candidate(token_id)
        async with self._holds.hold(candidate) as hold:
            info = await hold.step(Session.describe)
            await hold.step(Session.require_supported)
            always_verifies = await hold.step(Session.always_verifies)
            if user_verification and not info.has_pin:
                raise Unsupported("the token has no PIN; set one first, or enrol it without")
            if always_verifies and not user_verification:
                raise PinNeeded("the token always asks for its PIN; enrol it with PIN")
            if not info.has_pin:
                return await self._make(hold, info, ui, user_verification=False)
            await hold.step(Session.require_pin_tries)
        pin = await ui.pin(info)
        async with self._holds.hold(candidate) as hold:
            again = await hold.step(Session.describe)
            if again.aaguid != info.aaguid:
                raise TokenMissing("another token took the place of the chosen one")
            await hold.step(lambda session: session.enter_pin(pin, Permission.MAKE_CREDENTIAL))
            return await self._make(hold, info, ui, user_verification=user_verification)

    async def locate(self, credentials: Sequence[TokenCredential]) -> TokenCredential:
        """Find the token of one of ``credentials``; see `TokenPort.locate`.

        Tokens that refuse a question without a touch are guessed at by their model, and only when no token
        says yes, one single such token is present and one single credential is of its model. A wrong guess
        costs a touch, never a PIN try of a token that could answer, and `approve` verifies everything.
        """
        forbid_traffic_log()
        if not credentials:
            raise TokenMissing("no token is enrolled")
        candidates = await self._holds.discover()
        outcomes = await asyncio.gather(*(self._ask(candidate, credentials) for candidate in candidates))
        sure = {
            found.id: candidate
            for candidate, (found, _, _) in zip(candidates, outcomes, strict=True)
            if found is not None
        }
        for credential in credentials:
            if credential.id in sure:
                self._located[credential.id] = sure[credential.id]
                return credential
        guessed = self._guess(candidates, [info for _, info, _ in outcomes], credentials)
        if guessed is not None:
            return guessed
        for kind in (Busy, ProtocolBroken):
            for _, _, problem in outcomes:
                if isinstance(problem, kind):
                    raise problem
        raise TokenMissing("no enrolled token is present")

    async def recognise(self, credentials: Sequence[TokenCredential]) -> Recognised:
        """Tell which present tokens have which of ``credentials``; see `TokenPort.recognise`.

        Twins that refuse a question without a touch are not told apart; see `locate`.
        """
        forbid_traffic_log()
        candidates = await self._holds.discover()
        looks = await asyncio.gather(*(self._look(candidate, credentials) for candidate in candidates))
        found: dict[str, str] = {}
        for candidate, look in zip(candidates, looks, strict=True):
            for credential in look.found:
                self._located[credential.id] = candidate
                found.setdefault(credential.id, candidate.id)
        guessed = self._guess(candidates, [look.undecided for look in looks], credentials)
        if guessed is not None:
            found.setdefault(guessed.id, self._located[guessed.id].id)
        return Recognised(found, tuple(look.busy for look in looks if look.busy))

    async def approve(
        self,
        credential: TokenCredential,
        challenge: bytes,
        handles: Sequence[SecretHandle],
        *,
        ui: TokenUi,
    ) -> TokenAnswer:
        """Sign ``challenge`` and open the secrets behind ``handles``: one touch; see `TokenPort.approve`."""
        forbid_traffic_log()
        _require_arguments(challenge, handles)
        candidate = await self._where(credential)
        try:
            if credential.user_verification:
                return await self._approve_with_pin(candidate, credential, challenge, handles, ui)
            async with self._holds.hold(candidate) as hold:
                return await self._assert(hold, credential, challenge, handles, ui)
        except (TokenMissing, TokenRemoved):
            self._located.pop(credential.id, None)
            raise

    async def read_head(self, credential: TokenCredential) -> bytes | None:
        """Read the credential's large blob; see `TokenPort.read_head`."""
        forbid_traffic_log()
        return await self._heads.read(credential)

    async def write_head(
        self, credential: TokenCredential, note: bytes, expected: bytes | None, *, ui: TokenUi | None
    ) -> None:
        """Write the credential's large blob; see `TokenPort.write_head`."""
        forbid_traffic_log()
        await self._heads.write(credential, note, expected, ui=ui)

    async def sight(self, credential: TokenCredential) -> Sight | None:
        """What the transport shows of a located token; None: nobody can tell. See `ownerd.tokens.presence`."""
        if credential.type != "fido2":
            return Sight(None, stays=False)
        candidate = self._located.get(credential.id)
        if candidate is None:
            return Sight(None)
        if self._holds.in_use(candidate) or self._looker.stuck:
            return None
        try:
            return await self._looker.run(lambda: sight(candidate), Limit(), self._step_timeout_seconds)
        except StepTimeout:
            return None

    async def make_keys(self, *_: object, **__: object) -> None:
        """Raise `Unsupported`: its credential is made by `enrol`."""
        raise Unsupported("this kind of token makes its keys when it is enrolled")

    async def change_pin(self, token_id: str, *, ui: TokenUi) -> None:
        """Change a PIN or set the first one; see `TokenPort.change_pin`.

        Cancelled while the token works, it may have taken the new PIN all the same.
        """
        forbid_traffic_log()
        candidate = await self._candidate(token_id)
        async with self._holds.hold(candidate) as hold:
            info = await hold.step(Session.describe)
            await hold.step(Session.require_pin_support)
            if info.has_pin:
                await hold.step(lambda session: session.require_pin_tries(at_risk=True))
        old = await ui.pin(info) if info.has_pin else None
        new = await ui.new_pin(info)
        async with self._holds.hold(candidate) as hold:
            again = await hold.step(Session.describe)
            if (again.aaguid, again.firmware) != (info.aaguid, info.firmware):
                raise TokenMissing("another token took the place of the chosen one")
            if again != info:
                raise Busy("the token's PIN or its tries changed meanwhile; no PIN was sent")
            await hold.step(lambda session: session.set_pin(old, new))

    # -- parts --

    async def _approve_with_pin(
        self,
        candidate: Candidate,
        credential: TokenCredential,
        challenge: bytes,
        handles: Sequence[SecretHandle],
        ui: TokenUi,
    ) -> TokenAnswer:
        async with self._holds.hold(candidate) as hold:
            info = await hold.step(Session.describe)
            await self._require_credential(hold, info, credential)
            if not info.has_pin:
                raise Unsupported("the token has no PIN any more")
            await hold.step(Session.require_pin_tries)
        pin = await ui.pin(info)
        async with self._holds.hold(candidate) as hold:
            # While the person typed, the token may have been changed for another: that one never sees the PIN.
            await self._require_credential(hold, await hold.step(Session.describe), credential)
            await hold.step(lambda session: session.enter_pin(pin, Permission.GET_ASSERTION))
            return await self._assert(hold, credential, challenge, handles, ui)

    async def _assert(
        self,
        hold: Hold,
        credential: TokenCredential,
        challenge: bytes,
        handles: Sequence[SecretHandle],
        ui: TokenUi,
    ) -> TokenAnswer:
        client_data_json = client_data(challenge)
        digest = hashlib.sha256(client_data_json).digest()
        info = await hold.step(lambda session: session.prepare(handles))
        ui.touch_needed(info, self._touch_timeout_seconds)
        answer, secrets = await hold.step(
            lambda session: session.get_assertion(credential, digest, handles),
            touch_seconds=self._touch_limit_seconds,
        )
        approval = verify.verify_approval(answer, credential, challenge, client_data_json)
        verify.verify_secrets(secrets, handles, self._key_check)
        return TokenAnswer(approval, secrets)

    async def _make(
        self, hold: Hold, info: TokenInfo, ui: TokenUi, *, user_verification: bool
    ) -> TokenCredential:
        ui.touch_needed(info, self._touch_timeout_seconds)
        credential = await hold.step(
            lambda session: session.make_credential(info, user_verification=user_verification),
            touch_seconds=self._touch_limit_seconds,
        )
        self._located[credential.id] = hold.candidate
        return credential

    async def _require_credential(self, hold: Hold, info: TokenInfo, credential: TokenCredential) -> None:
        try:
            found = await hold.step(lambda session: session.preflight([credential]))
        except Undecided:
            if info.aaguid == credential.aaguid:
                return
            found = None
        if found is None:
            raise TokenMissing("this token is not the enrolled one")

    async def _describe(self, candidate: Candidate) -> TokenInfo | None:
        known = self._described.get(candidate.id)
        if known is not None and self._holds.in_use(candidate):
            return known  # somebody is about to touch it: do not disturb
        try:
            async with self._holds.hold(candidate) as hold:
                await hold.step(Session.require_supported, begin_seconds=BUSY_SECONDS)
                return await hold.step(Session.describe)
        except OwnerdError as error:
            # An empty card reader is no news.
            level = logging.DEBUG if isinstance(error, TokenMissing) else logging.INFO
            self._log.log(level, "left out a %s token: %s", candidate.transport, error.id)
            return None

    async def _look(self, candidate: Candidate, credentials: Sequence[TokenCredential]) -> _Look:
        if self._holds.in_use(candidate) and not self._holds.is_stuck(candidate):
            # Somebody is about to touch it: do not disturb.
            return _Look([one for one in credentials if self._is_at(one, candidate)])
        try:
            async with self._holds.hold(candidate) as hold:
                try:
                    found = await hold.step(
                        lambda session: session.held(credentials), begin_seconds=BUSY_SECONDS
                    )
                    return _Look(found)
                except Undecided:
                    return _Look(undecided=await hold.step(Session.describe))
        except Busy as error:
            return _Look(busy=f"{candidate.name}: {error}")
        except OwnerdError:
            return _Look()

    def _is_at(self, credential: TokenCredential, candidate: Candidate) -> bool:
        known = self._located.get(credential.id)
        return known is not None and known.id == candidate.id

    async def _ask(
        self, candidate: Candidate, credentials: Sequence[TokenCredential]
    ) -> tuple[TokenCredential | None, TokenInfo | None, OwnerdError | None]:
        """(found, the undecided token, problem)."""
        try:
            async with self._holds.hold(candidate) as hold:
                try:
                    return await hold.step(lambda session: session.preflight(credentials)), None, None
                except Undecided:
                    return None, await hold.step(Session.describe), None
        except OwnerdError as error:
            self._log.debug("a %s token did not answer: %s", candidate.transport, error.id)
            return None, None, error

    def _guess(
        self,
        candidates: Sequence[Candidate],
        infos: Sequence[TokenInfo | None],
        credentials: Sequence[TokenCredential],
    ) -> TokenCredential | None:
        """``infos``: what those tokens say of themselves that do not say what they hold."""
        undecided = [
            (candidate, info) for candidate, info in zip(candidates, infos, strict=True) if info is not None
        ]
        if len(undecided) != 1:
            return None
        candidate, info = undecided[0]
        alike = [credential for credential in credentials if credential.aaguid == info.aaguid]
        if len(alike) != 1:
            return None
        self._located[alike[0].id] = candidate
        return alike[0]

    async def _where(self, credential: TokenCredential) -> Candidate:
        known = self._located.get(credential.id)
        if known is not None and any(one.id == known.id for one in await self._holds.discover()):
            return known
        await self.locate([credential])
        return self._located[credential.id]

    async def _candidate(self, token_id: str) -> Candidate:
        for candidate in await self._holds.discover():
            if candidate.id == token_id:
                return candidate
        raise TokenMissing("that token is not present")


def _require_arguments(challenge: bytes, handles: Sequence[SecretHandle]) -> None:
    if len(challenge) != CHALLENGE_BYTES:
        raise InvalidArgument("a challenge has 32 bytes")
    if len(handles) > MAX_HANDLES or any(len(handle.salt) != SALT_BYTES for handle in handles):
        raise InvalidArgument("a token takes at most two salts of 32 bytes")
