"""`PivTokens`: the token port over PIV cards (SP 800-73-4) in PC/SC readers.

Coroutines decide, `ownerd.tokens.piv_work` blocks, one `Worker` per reader keeps the two apart. Every visit to a card
is one PC/SC transaction that ends with a reset, and none lasts while a person types.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from msgspec import Struct, field

from ownerd.core.ports import Recognised, TokenUi
from ownerd.model.errors import (
    Busy,
    KeysMissing,
    NotAllowed,
    OwnerdError,
    PinBlocked,
    PinNeeded,
    PinWrong,
    ProtocolBroken,
    TokenMissing,
    WrongKey,
)
from ownerd.model.secret import Secret
from ownerd.model.token import CurveName, SecretHandle, TokenAnswer, TokenCredential, TokenInfo
from ownerd.tokens import piv_heads, piv_work
from ownerd.tokens.candidate import printable_name
from ownerd.tokens.holders import name_card_users
from ownerd.tokens.limit import Limit
from ownerd.tokens.piv_card import AGREE, SIGN, PivCard, padded_new_pin, padded_pin
from ownerd.tokens.piv_keys import PublicKeys
from ownerd.tokens.piv_setup import generate
from ownerd.tokens.presence import Sight, see_card
from ownerd.tokens.worker import StepTimeout, Worker

T = TypeVar("T")

PREFIX: Final = "piv-"
# A card that another program holds for longer is left out of lists.
BUSY_SECONDS: Final = 1.0


class _Reader(Struct):
    """One reader slot: who works with it, and what its card last said of itself."""

    name: str
    worker: Worker
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    described: TokenInfo | None = None


class PivTokens:
    """PIV cards. Implements `TokenPort`. ``key_check`` computes the key check value of a secret.

    ``step_timeout_seconds`` bounds a look at a card, ``work_timeout_seconds`` a visit that signs (RSA takes seconds).
    """

    def __init__(
        self,
        *,
        key_check: Callable[[Secret], bytes],
        step_timeout_seconds: float = 5.0,
        work_timeout_seconds: float = 15.0,
        logger: logging.Logger | None = None,
    ) -> None:
        self._key_check = key_check
        self._step_timeout_seconds = step_timeout_seconds
        self._work_timeout_seconds = work_timeout_seconds
        self._log = logger or logging.getLogger(__name__)
        self._finder = Worker("ownerd-find-piv")
        self._looker = Worker("ownerd-look-piv")
        self._readers: dict[str, _Reader] = {}
        self._located: dict[str, str] = {}
        self._generated: dict[bytes, PublicKeys] = {}

    # -- the port --

    async def present(self) -> list[TokenInfo]:
        """List the PIV cards that are present; see `TokenPort.present`."""
        readers = await self._discover()
        found = await asyncio.gather(*(self._describe(reader) for reader in readers))
        return [info for info in found if info is not None]

    async def enrol(self, token_id: str, *, user_verification: bool, ui: TokenUi) -> TokenCredential:  # noqa: ARG002 - a card is always used with its PIN, which its first approval asks for
        """Make a credential of the keys on a card: those of its certificates, or those generated here before.

        Raises `KeysMissing` when there is no usable signing key.
        """
        reader = await self._reader(token_id)
        seen = await self._visit(reader, piv_work.look)
        generated = self._generated.get(seen.identity.chuid or b"", PublicKeys())
        credential = piv_work.credential_of(seen.identity, _shown_name(reader.name), generated)
        if credential is None:
            raise KeysMissing("the card shows no signing key that ownerd can use")
        self._located[credential.id] = token_id
        return credential

    async def make_keys(
        self, token_id: str, algorithm: CurveName, *, keep: Sequence[TokenCredential], ui: TokenUi
    ) -> None:
        """Make new keys in 9C and 9D, and remember them for `enrol`; see `TokenPort.make_keys`."""
        reader = await self._reader(token_id)
        seen = await self._visit(reader, piv_work.look)
        if any(piv_work.match(seen.identity, one) is not piv_work.Match.NO for one in keep):
            raise NotAllowed("this card is enrolled here; its keys are not replaced while it is")
        info = _info(reader.name, seen.tries)
        found = ((SIGN, seen.identity.signing_key), (AGREE, seen.identity.agreement_key))
        await ui.confirm_new_keys(info, [f"{slot:X}" for slot, key in found if key is not None])
        key = await ui.management_key(info)

        def make(card: PivCard) -> tuple[bytes, PublicKeys]:
            piv_work.require_same(card, seen)
            return generate(card, key, algorithm)

        chuid, made = await self._visit(reader, make, timeout_seconds=4 * self._work_timeout_seconds)
        self._generated[chuid] = made

    async def locate(self, credentials: Sequence[TokenCredential]) -> TokenCredential:
        """Find the card of one of ``credentials``; see `TokenPort.locate`."""
        readers = await self._discover()
        looks = await asyncio.gather(*(self._try_look(reader) for reader in readers))
        problems = [seen for seen in looks if isinstance(seen, OwnerdError)]
        for credential in credentials:
            for reader, seen in zip(readers, looks, strict=True):
                if isinstance(seen, OwnerdError):
                    continue
                found = piv_work.match(seen.identity, credential)
                if found is piv_work.Match.YES:
                    self._located[credential.id] = _token_id(reader.name)
                    return credential
                if found is piv_work.Match.REPLACED:
                    problems.append(WrongKey("the card's keys were replaced since it was enrolled"))
        for kind in (WrongKey, Busy, ProtocolBroken):
            for problem in problems:
                if isinstance(problem, kind):
                    raise problem
        raise TokenMissing("no enrolled card is present")

    async def recognise(self, credentials: Sequence[TokenCredential]) -> Recognised:
        """Tell which present cards have which of ``credentials``; see `TokenPort.recognise`."""
        readers = await self._discover()
        looks = await asyncio.gather(*(self._glance(reader) for reader in readers))
        found: dict[str, str] = {}
        for reader, seen in zip(readers, looks, strict=True):
            for credential in credentials:
                if seen is None:
                    is_there = self._located.get(credential.id) == _token_id(reader.name)
                else:
                    is_there = isinstance(seen, piv_work.Look) and (
                        piv_work.match(seen.identity, credential) is piv_work.Match.YES
                    )
                if is_there:
                    self._located[credential.id] = _token_id(reader.name)
                    found.setdefault(credential.id, _token_id(reader.name))
        busy = [
            f"{_shown_name(reader.name)}: {seen}"
            for reader, seen in zip(readers, looks, strict=True)
            if isinstance(seen, Busy)
        ]
        return Recognised(found, tuple(busy))

    async def approve(
        self,
        credential: TokenCredential,
        challenge: bytes,
        handles: Sequence[SecretHandle],
        *,
        ui: TokenUi,
    ) -> TokenAnswer:
        """Sign ``challenge`` and open the secrets behind ``handles``: one PIN; see `TokenPort.approve`.

        Raises `PinAtRisk` before asking when a mistake could block the card.
        """
        act = piv_work.CardAct(credential, challenge, handles)
        reader, seen = await self._find(credential)
        piv_work.require_safe_tries(seen.tries)
        typed = await ui.pin(_info(reader.name, seen.tries))
        pin = padded_pin(typed, seen.tries)
        signature, secrets = await self._visit(
            reader, lambda card: act.run(card, pin), timeout_seconds=self._work_timeout_seconds
        )
        answer = act.answer(signature, secrets)
        for handle, secret in zip(handles, answer.secrets, strict=True):
            if handle.check is not None and not hmac.compare_digest(handle.check, self._key_check(secret)):
                raise WrongKey("the card yields another secret than the enrolled one")
        return answer

    async def change_pin(self, token_id: str, *, ui: TokenUi) -> None:
        """Change the card's PIN; see `TokenPort.change_pin`."""
        reader = await self._reader(token_id)
        seen = await self._visit(reader, piv_work.look)
        if seen.tries == 0:
            raise PinBlocked("the card takes no more PINs")
        info = _info(reader.name, seen.tries)
        old = padded_pin(await ui.pin(info), seen.tries)
        new = padded_new_pin(await ui.new_pin(info))
        await self._visit(reader, lambda card: piv_work.change_pin(card, seen, old, new))

    async def read_head(self, credential: TokenCredential) -> bytes | None:
        """Read the card's data object for a head; see `TokenPort.read_head`."""
        last = self._located.get(credential.id)
        reader = next((one for one in await self._discover() if _token_id(one.name) == last), None)
        if reader is None:
            reader, _ = await self._find(credential)
        return await self._visit(reader, lambda card: piv_heads.read(card, credential))

    async def write_head(
        self, credential: TokenCredential, note: bytes, expected: bytes | None, *, ui: TokenUi | None
    ) -> None:
        """Write it, with the management key that is typed for this; see `TokenPort.write_head`."""
        if ui is None:
            raise PinNeeded("the card wants its management key before it keeps a head")
        reader, seen = await self._find(credential)
        key = await ui.management_key(_info(reader.name, seen.tries))
        await self._visit(
            reader,
            lambda card: piv_heads.write(card, credential, key, note, expected),
            timeout_seconds=self._work_timeout_seconds,
        )

    # -- besides the port --

    async def sight(self, credential: TokenCredential) -> Sight | None:
        """What the reader of a located card shows; None: nobody can tell. See `ownerd.tokens.presence`."""
        last = self._located.get(credential.id)
        if last is None:
            return Sight(None)
        if self._looker.stuck or any(
            _token_id(reader.name) == last and (reader.lock.locked() or reader.worker.stuck)
            for reader in self._readers.values()
        ):
            return None
        try:
            return await self._looker.run(
                lambda: see_card(last.removeprefix(PREFIX)), Limit(), self._step_timeout_seconds
            )
        except StepTimeout:
            return None

    # -- parts --

    async def _find(self, credential: TokenCredential) -> tuple[_Reader, piv_work.Look]:
        """The reader that holds the credential's card, asked now; the one where it was last goes first."""
        readers = await self._discover()
        last = self._located.get(credential.id)
        for reader in readers:
            if _token_id(reader.name) == last:
                seen = await self._try_look(reader)
                if (
                    isinstance(seen, piv_work.Look)
                    and piv_work.match(seen.identity, credential) is piv_work.Match.YES
                ):
                    return reader, seen
        await self.locate([credential])
        reader = await self._reader(self._located[credential.id])
        seen = await self._visit(reader, piv_work.look)
        piv_work.require_enrolled(seen.identity, credential)
        return reader, seen

    async def _describe(self, reader: _Reader) -> TokenInfo | None:
        if reader.described is not None and (reader.lock.locked() or reader.worker.stuck):
            return reader.described  # somebody works with it: do not disturb
        seen = await self._try_look(reader, begin_seconds=BUSY_SECONDS)
        if isinstance(seen, OwnerdError):
            # An empty reader, or a card without PIV, is no news.
            level = logging.DEBUG if isinstance(seen, TokenMissing) else logging.INFO
            self._log.log(level, "left out a smart card: %s", seen.id)
            reader.described = None
        else:
            reader.described = _info(reader.name, seen.tries)
        return reader.described

    async def _glance(self, reader: _Reader) -> piv_work.Look | OwnerdError | None:
        """A look that waits for nobody; None while an operation of ours goes on."""
        if reader.lock.locked() and not reader.worker.stuck:
            return None
        return await self._try_look(reader, begin_seconds=BUSY_SECONDS)

    async def _try_look(
        self, reader: _Reader, *, begin_seconds: float | None = None
    ) -> piv_work.Look | OwnerdError:
        try:
            return await self._visit(reader, piv_work.look, begin_seconds=begin_seconds)
        except OwnerdError as error:
            return error

    async def _visit(
        self,
        reader: _Reader,
        work: Callable[[PivCard], T],
        *,
        timeout_seconds: float | None = None,
        begin_seconds: float | None = None,
    ) -> T:
        """Run ``work`` in one transaction on the reader's thread. Raises `Busy` when it does not come free."""
        try:
            async with asyncio.timeout(self._step_timeout_seconds):
                await reader.lock.acquire()
        except TimeoutError as error:
            raise Busy("another operation uses the card") from error
        try:
            if reader.worker.stuck:
                raise Busy(name_card_users("another program holds the card, or it has not come back"))
            limit = Limit()
            seconds = timeout_seconds or self._step_timeout_seconds
            return await reader.worker.run(
                lambda: _open_and(reader.name, limit, work), limit, seconds, begin_seconds=begin_seconds
            )
        except StepTimeout as error:
            if isinstance(error.__cause__, PinWrong | PinBlocked | Busy):
                raise error.__cause__ from error
            raise Busy(name_card_users("another program holds the card, or it does not answer")) from error
        finally:
            reader.lock.release()

    async def _discover(self) -> list[_Reader]:
        names: list[str] = []
        if not self._finder.stuck:
            try:
                names = await self._finder.run(_list_readers, Limit(), self._step_timeout_seconds)
            except StepTimeout:
                self._log.warning("looking for smart cards hangs; left out")
        for name in [one for one in self._readers if one not in names]:
            reader = self._readers[name]
            if not reader.lock.locked():
                reader.worker.stop()
                del self._readers[name]
        return [
            self._readers.setdefault(name, _Reader(name, Worker(f"ownerd-{_token_id(name)}")))
            for name in names
        ]

    async def _reader(self, token_id: str) -> _Reader:
        for reader in await self._discover():
            if _token_id(reader.name) == token_id:
                return reader
        raise TokenMissing("that card is not present")


def _list_readers() -> list[str]:
    try:
        from ownerd.tokens.piv_link import list_readers
    except ImportError:  # pyscard is not installed
        return []
    return list_readers()


def _open_and(reader: str, limit: Limit, work: Callable[[PivCard], T]) -> T:
    from ownerd.tokens.piv_link import open_link

    with open_link(reader, limit) as link:
        return work(PivCard(link))


def _token_id(reader: str) -> str:
    return PREFIX + hashlib.sha256(reader.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def _shown_name(reader: str) -> str:
    return f"PIV card in {printable_name(reader, 'a card reader')}"


def _info(reader: str, tries: int | None) -> TokenInfo:
    return TokenInfo(
        id=_token_id(reader),
        name=_shown_name(reader),
        transport="pcsc",
        aaguid="",
        firmware=0,
        has_pin=True,
        pin_tries=tries,
        software=False,
    )
