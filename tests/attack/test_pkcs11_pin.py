"""PINs at PKCS#11 tokens: one typed PIN, one try; nothing stays open; the last try is the owner's."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import structs
from tests.rigs.softhsm import PIN, HsmCard, left_open
from tests.rigs.tokens import FakeUi

from ownerd.model.errors import (
    Busy,
    Dismissed,
    OwnerdError,
    PinAtRisk,
    PinBlocked,
    PinUnfit,
    PinWrong,
    ProtocolBroken,
    TokenMissing,
    TokenRemoved,
    WrongKey,
)
from ownerd.model.secret import Secret
from ownerd.model.token import SecretHandle, TokenCredential, TokenInfo
from ownerd.tokens.pkcs11_port import Pkcs11Tokens

CHALLENGE = hashlib.sha256(b"challenge").digest()


async def enrol(tokens: Pkcs11Tokens) -> TokenCredential:
    (info,) = await tokens.present()
    return await tokens.enrol(info.id, user_verification=True, ui=FakeUi())


def handle() -> SecretHandle:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    return SecretHandle(public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))


def logins(calls: list[str]) -> list[str]:
    return [call for call in calls if call.startswith("C_Login")]


def test_a_wrong_pin_is_sent_once_and_leaves_nothing_open(pkcs11_card: HsmCard) -> None:
    async def use() -> list[str]:
        tokens, ui = pkcs11_card.tokens(), FakeUi(pins=[b"wrong", PIN])
        credential = await enrol(tokens)
        pkcs11_card.calls()
        with pytest.raises(PinWrong):
            await tokens.approve(credential, CHALLENGE, [handle()], ui=ui)
        calls = pkcs11_card.calls()
        assert ui.names == ["pin"]
        await tokens.approve(credential, CHALLENGE, [handle()], ui=ui)
        return calls

    calls = asyncio.run(use())
    assert logins(calls) == ["C_Login 1 0xa0"]
    assert left_open(calls) == (0, 0)
    assert left_open(pkcs11_card.calls()) == (0, 0)
    assert pkcs11_card.counter() == 5


def test_no_background_path_sends_a_pin_or_moves_the_counter(pkcs11_card: HsmCard) -> None:
    async def use() -> None:
        tokens = pkcs11_card.tokens()
        credential = await enrol(tokens)
        stranger = structs.replace(credential, id="0" * 16, public_key=credential.agreement_key or {})
        pkcs11_card.block(3)
        pkcs11_card.calls()
        for _ in range(3):
            await tokens.present()
            await tokens.locate([stranger, credential])
            await tokens.sight(credential)

    asyncio.run(use())
    calls = pkcs11_card.calls()
    assert logins(calls) == []
    assert left_open(calls) == (0, 0)
    assert pkcs11_card.counter() == 3


@pytest.mark.parametrize("impossible", [b"", b"\xff\xfe", b"x" * 256])
def test_a_pin_that_no_token_can_have_is_not_sent(pkcs11_card: HsmCard, impossible: bytes) -> None:
    async def use() -> None:
        tokens = pkcs11_card.tokens()
        credential = await enrol(tokens)
        pkcs11_card.calls()
        with pytest.raises(PinWrong):
            await tokens.approve(credential, CHALLENGE, (), ui=FakeUi(pins=[impossible]))

    asyncio.run(use())
    assert logins(pkcs11_card.calls()) == []


def test_the_last_try_is_never_used_even_when_others_used_the_rest_meanwhile(pkcs11_card: HsmCard) -> None:
    async def use() -> None:
        tokens = pkcs11_card.tokens()
        credential = await enrol(tokens)
        pkcs11_card.calls()
        for left, error in ((1, PinAtRisk), (0, PinBlocked)):
            ui = FakeUi(while_typing=lambda left=left: pkcs11_card.block(left))
            pkcs11_card.block(5)
            with pytest.raises(error):
                await tokens.approve(credential, CHALLENGE, (), ui=ui)
            assert ui.names == ["pin"]

    asyncio.run(use())
    assert logins(pkcs11_card.calls()) == []


def test_the_wrong_pin_that_leaves_one_try_says_so(pkcs11_card: HsmCard) -> None:
    async def use() -> None:
        tokens = pkcs11_card.tokens()
        credential = await enrol(tokens)
        pkcs11_card.block(2)
        with pytest.raises(PinWrong) as raised:
            await tokens.approve(credential, CHALLENGE, (), ui=FakeUi(pins=[b"wrong"]))
        assert raised.value.tries_left == 1 == pkcs11_card.counter()

    asyncio.run(use())


def test_no_session_is_held_while_the_person_types(pkcs11_card: HsmCard) -> None:
    seen: list[tuple[int, int]] = []

    async def use() -> None:
        tokens = pkcs11_card.tokens()
        credential = await enrol(tokens)
        assert left_open(pkcs11_card.calls()) == (0, 0)
        ui = FakeUi(while_typing=lambda: seen.append(left_open(pkcs11_card.calls())))
        await tokens.approve(credential, CHALLENGE, [handle()], ui=ui)

    asyncio.run(use())
    assert seen == [(0, 0)]


class Leaves(FakeUi):
    """Closes the prompt."""

    async def pin(self, token: TokenInfo) -> Secret:
        raise Dismissed("closed")


def test_a_closed_prompt_sends_nothing(pkcs11_card: HsmCard) -> None:
    async def use() -> None:
        tokens = pkcs11_card.tokens()
        credential = await enrol(tokens)
        pkcs11_card.calls()
        with pytest.raises(Dismissed):
            await tokens.approve(credential, CHALLENGE, (), ui=Leaves())

    asyncio.run(use())
    assert logins(pkcs11_card.calls()) == []


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("C_Login:0xa4", PinBlocked),
        ("C_Login:0x100", Busy),
        ("C_Login:0x104", Busy),
        ("C_OpenSession:0xb1", Busy),
        ("C_OpenSession:0xe0", TokenMissing),
        ("C_Sign:0x32", TokenRemoved),
        ("C_Sign:0x30", ProtocolBroken),
        ("C_Sign:0x80000001", ProtocolBroken),
        ("C_Sign:flip", WrongKey),
        ("C_SignInit:0xb3", TokenRemoved),
        ("C_DeriveKey:0x5", ProtocolBroken),
        ("C_DeriveKey:same", ProtocolBroken),
        ("C_Logout:0x5", None),
        ("C_CloseSession:0x5", None),
    ],
)
def test_whatever_fails_has_its_name_and_leaves_no_login(
    pkcs11_card: HsmCard, fault: str, error: type[OwnerdError] | None
) -> None:
    async def use() -> None:
        tokens = pkcs11_card.tokens()
        credential = await enrol(tokens)
        pkcs11_card.calls()
        ui = FakeUi(while_typing=lambda: pkcs11_card.misbehave(fault))
        handles = [handle(), handle()]
        if error is None:
            await tokens.approve(credential, CHALLENGE, handles, ui=ui)
        else:
            with pytest.raises(error) as raised:
                await tokens.approve(credential, CHALLENGE, handles, ui=ui)
            assert type(raised.value) is error
        assert left_open(pkcs11_card.calls()) == (0, 0)
        pkcs11_card.misbehave("")
        await tokens.approve(credential, CHALLENGE, [handle()], ui=FakeUi())
        assert left_open(pkcs11_card.calls()) == (0, 0)

    asyncio.run(use())


class Changes(FakeUi):
    """Types the PIN, then a new one."""

    def __init__(self, old: bytes, new: bytes, between: Callable[[], None] = lambda: None) -> None:
        super().__init__(pins=[old])
        self._new = new
        self._between = between

    async def new_pin(self, token: TokenInfo) -> Secret:
        self.events.append(("new", token))
        self._between()
        return Secret(self._new)


def test_the_pin_is_changed_and_the_keys_stay(pkcs11_card: HsmCard) -> None:
    async def use() -> None:
        tokens = pkcs11_card.tokens()
        credential = await enrol(tokens)
        (info,) = await tokens.present()
        with pytest.raises(PinUnfit):
            await tokens.change_pin(info.id, ui=Changes(PIN, b"1"))
        pkcs11_card.block(1)  # the one thing that the last try may be asked for
        await tokens.change_pin(info.id, ui=Changes(PIN, b"8642eca"))
        pkcs11_card.block(5)
        await tokens.approve(credential, CHALLENGE, [handle()], ui=FakeUi(pins=[b"8642eca"]))
        with pytest.raises(PinWrong):
            await tokens.change_pin(info.id, ui=Changes(PIN, b"8642eca"))
        with pytest.raises(Busy):
            await tokens.change_pin(
                info.id, ui=Changes(b"8642eca", PIN, between=lambda: pkcs11_card.block(1))
            )

    asyncio.run(use())
    assert left_open(pkcs11_card.calls()) == (0, 0)
