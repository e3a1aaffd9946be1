"""Tokens differ, and all of it is allowed: what the adapter makes of each difference."""

from __future__ import annotations

import asyncio
import hashlib
from threading import Event
from typing import Any

import pytest
from fido2 import cbor
from fido2.ctap import CtapError
from fido2.ctap2.base import Ctap2
from fido2.ctap2.pin import PinProtocolV1
from tests.rigs.softtoken import make_authenticator
from tests.rigs.tokens import FakeUi, RecordingDevice, candidate, make_tokens, set_pin

from ownerd.ledger.approval import verify_fido2
from ownerd.model.errors import Busy, TokenMissing, Unsupported
from ownerd.model.token import SecretHandle, TokenCredential
from ownerd.softtoken import client_pin, hmac_secret
from ownerd.softtoken.authenticator import Authenticator
from ownerd.softtoken.touch import Answer

CHALLENGE = hashlib.sha256(b"challenge").digest()
HANDLES = [SecretHandle(b"a" * 32), SecretHandle(b"b" * 32)]
ERR = CtapError.ERR


class RefusesSilentQuestions(Authenticator):
    """Does not do ``up`` = false."""

    status: CtapError.ERR = ERR.UNSUPPORTED_OPTION

    def call(self, request: bytes, cancel: Event | None = None, on_keepalive: Any = None) -> bytes:
        if request[0] == Ctap2.CMD.GET_ASSERTION:
            parameters: Any = cbor.decode(request[1:])
            if parameters.get(5, {}).get("up") is False:
                return bytes([self.status])
        return super().call(request, cancel, on_keepalive)


class RefusesOtherwise(RefusesSilentQuestions):
    status = ERR.INVALID_OPTION


def device(kind: type[Authenticator] = Authenticator) -> RecordingDevice:
    return RecordingDevice(make_authenticator(authenticator_type=kind))


@pytest.mark.parametrize("kind", [RefusesSilentQuestions, RefusesOtherwise])
@pytest.mark.parametrize("user_verification", [False, True])
def test_one_token_that_refuses_silent_questions_is_taken_by_its_model(
    kind: type[Authenticator], user_verification: bool
) -> None:
    token = device(kind)
    if user_verification:
        set_pin(token.authenticator)

    async def use() -> None:
        tokens, ui = make_tokens(candidate(token)), FakeUi()
        credential = await tokens.enrol("software-1", user_verification=user_verification, ui=ui)
        fresh = make_tokens(candidate(token))
        assert await fresh.locate([credential]) == credential
        answer = await fresh.approve(credential, CHALLENGE, HANDLES, ui=ui)
        verify_fido2(answer.approval, CHALLENGE, credential)

    asyncio.run(use())


def test_two_tokens_that_refuse_silent_questions_are_not_guessed_between() -> None:
    first, second = device(RefusesSilentQuestions), device(RefusesSilentQuestions)

    async def use() -> None:
        tokens = make_tokens(candidate(first), candidate(second, "software-2"))
        credential = await tokens.enrol("software-1", user_verification=False, ui=FakeUi())
        with pytest.raises(TokenMissing):
            await tokens.locate([credential])

    asyncio.run(use())


def test_a_token_that_refuses_silent_questions_yields_to_one_that_says_yes() -> None:
    silent, honest = device(RefusesSilentQuestions), device()

    async def use() -> None:
        tokens, ui = make_tokens(candidate(silent), candidate(honest, "software-2")), FakeUi()
        at_silent = await tokens.enrol("software-1", user_verification=False, ui=ui)
        at_honest = await tokens.enrol("software-2", user_verification=False, ui=ui)
        assert await tokens.locate([at_silent, at_honest]) == at_honest

    asyncio.run(use())


class OmitsCredential(Authenticator):
    """Leaves the credential out of an answer to an allowList of one (CTAP 2.0 allows it)."""

    def call(self, request: bytes, cancel: Event | None = None, on_keepalive: Any = None) -> bytes:
        answer = super().call(request, cancel, on_keepalive)
        if request[0] != Ctap2.CMD.GET_ASSERTION or answer[0]:
            return answer
        parameters, value = cbor.decode(request[1:]), cbor.decode(answer[1:])
        assert isinstance(parameters, dict)
        assert isinstance(value, dict)
        if len(parameters[3]) == 1:
            del value[1]
        return answer[:1] + cbor.encode(value)


def test_an_answer_may_leave_out_the_only_credential() -> None:
    token = device(OmitsCredential)

    async def use() -> None:
        tokens, ui = make_tokens(candidate(token)), FakeUi()
        credential = await tokens.enrol("software-1", user_verification=False, ui=ui)
        assert await tokens.locate([credential]) == credential
        answer = await tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)
        verify_fido2(answer.approval, CHALLENGE, credential)

    asyncio.run(use())


class ProtocolOne(Authenticator):
    """Knows PIN protocol one alone."""

    def info(self) -> dict[int, Any]:
        return {**super().info(), 6: [1]}


@pytest.mark.parametrize("user_verification", [False, True])
def test_a_token_with_pin_protocol_one_alone_is_served(
    user_verification: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The authenticator speaks protocol two; its class is changed for protocol one's throughout.
    monkeypatch.setattr(client_pin, "PinProtocolV2", PinProtocolV1)
    monkeypatch.setattr(hmac_secret, "PinProtocolV2", PinProtocolV1)
    monkeypatch.setattr(
        client_pin.AuthenticatorProtocol, "open", lambda self, key, data: self._protocol.decrypt(key, data)
    )
    token = device(ProtocolOne)
    if user_verification:
        set_pin(token.authenticator)

    async def use() -> None:
        tokens, ui = make_tokens(candidate(token)), FakeUi()
        credential = await tokens.enrol("software-1", user_verification=user_verification, ui=ui)
        first = await tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)
        again = await tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)
        assert first.secrets == again.secrets

    asyncio.run(use())


class Bare(Authenticator):
    """A CTAP 2.0 token: neither discoverable credentials nor credProtect nor largeBlobKey."""

    def info(self) -> dict[int, Any]:
        return {1: ["FIDO_2_0"], 2: ["hmac-secret"], 3: super().info()[3], 4: {"up": True}, 6: [2]}

    def call(self, request: bytes, cancel: Event | None = None, on_keepalive: Any = None) -> bytes:
        if request[0] == Ctap2.CMD.MAKE_CREDENTIAL:
            parameters: Any = cbor.decode(request[1:])
            assert parameters[6] == {"hmac-secret": True}
            assert 7 not in parameters
        return super().call(request, cancel, on_keepalive)


def test_a_token_is_asked_only_for_what_it_has() -> None:
    token = device(Bare)

    async def use() -> None:
        tokens, ui = make_tokens(candidate(token)), FakeUi()
        credential = await tokens.enrol("software-1", user_verification=False, ui=ui)
        assert credential.firmware == 0
        assert await make_tokens(candidate(token)).locate([credential]) == credential
        await tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)

    asyncio.run(use())


class WithoutHmacSecret(Authenticator):
    def info(self) -> dict[int, Any]:
        return {**super().info(), 2: ["credProtect"]}


class WithoutEs256(Authenticator):
    def info(self) -> dict[int, Any]:
        return {**super().info(), 0x0A: [{"alg": -8, "type": "public-key"}]}


class WithoutPinProtocol(Authenticator):
    def info(self) -> dict[int, Any]:
        return {**super().info(), 6: [9]}


class OldDevice(RecordingDevice):
    """A U2F token."""

    @property
    def capabilities(self) -> int:
        return 0


@pytest.mark.parametrize(
    "token",
    [
        device(WithoutHmacSecret),
        device(WithoutEs256),
        device(WithoutPinProtocol),
        OldDevice(make_authenticator()),
    ],
)
def test_a_token_that_lacks_what_we_need_is_left_out_and_unsupported(
    token: RecordingDevice, caplog: pytest.LogCaptureFixture
) -> None:
    async def use() -> None:
        tokens = make_tokens(candidate(token))
        assert await tokens.present() == []
        with pytest.raises(Unsupported):
            await tokens.enrol("software-1", user_verification=False, ui=FakeUi())

    with caplog.at_level("INFO"):
        asyncio.run(use())
    assert "left out a software token: Unsupported" in caplog.text
    assert token.open_count == 0


def test_the_touch_is_announced_before_its_command_and_the_command_comes_alone() -> None:
    ui = FakeUi()
    token = RecordingDevice(make_authenticator(), ui)
    set_pin(token.authenticator)

    async def use() -> None:
        tokens = make_tokens(candidate(token))
        credential = await tokens.enrol("software-1", user_verification=True, ui=ui)
        await tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)

    asyncio.run(use())
    touches = [at for at, name in enumerate(ui.names) if name == "touch"]
    assert [ui.events[at + 1] for at in touches] == [
        ("ctap", Ctap2.CMD.MAKE_CREDENTIAL),
        ("ctap", Ctap2.CMD.GET_ASSERTION),
    ]
    assert ui.events[-1] == ("ctap", Ctap2.CMD.GET_ASSERTION)


def test_no_token_is_held_open_while_the_owner_types() -> None:
    token = device()
    set_pin(token.authenticator)
    held: list[int] = []
    ui = FakeUi(while_typing=lambda: held.append(token.open_count))

    async def use() -> None:
        tokens = make_tokens(candidate(token))
        credential = await tokens.enrol("software-1", user_verification=True, ui=ui)
        await tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)

    asyncio.run(use())
    assert held == [0, 0]
    assert token.open_count == 0


def test_every_call_runs_on_the_tokens_own_thread() -> None:
    first, second = device(), device()

    async def use() -> None:
        tokens = make_tokens(candidate(first), candidate(second, "software-2"))
        await tokens.present()
        await tokens.enrol("software-1", user_verification=False, ui=FakeUi())

    asyncio.run(use())
    assert first.threads == {"ownerd-software-1"}
    assert second.threads == {"ownerd-software-2"}


def test_while_one_operation_waits_for_its_touch_others_leave_the_token_alone() -> None:
    token = device()

    async def use() -> None:
        tokens, ui = make_tokens(candidate(token), step_timeout_seconds=0.3), FakeUi()
        credential = await tokens.enrol("software-1", user_verification=False, ui=ui)
        known = await tokens.present()
        person = token.authenticator.core._touch
        person.answer = None  # type: ignore[attr-defined]
        waiting = asyncio.create_task(tokens.approve(credential, CHALLENGE, HANDLES, ui=ui))
        await asyncio.sleep(0.1)
        seen = len(token.requests)
        assert await tokens.present() == known
        with pytest.raises(Busy):
            await tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)
        with pytest.raises(Busy):
            await tokens.locate([credential])
        assert len(token.requests) == seen
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        person.answer = Answer.TOUCHED  # type: ignore[attr-defined]
        await tokens.approve(credential, CHALLENGE, HANDLES, ui=ui)

    asyncio.run(use())


def test_a_transport_that_fails_or_hangs_hides_no_other() -> None:
    token, release = device(), Event()

    def fails() -> list[Any]:
        raise RuntimeError("broken transport")

    def hangs() -> list[Any]:
        release.wait(20)
        return []

    async def use() -> None:
        tokens = make_tokens(candidate(token), step_timeout_seconds=0.2, more_finders=[fails, hangs])
        assert [info.id for info in await tokens.present()] == ["software-1"]

    try:
        asyncio.run(use())
    finally:
        release.set()


def test_a_token_that_was_replugged_elsewhere_is_found_again() -> None:
    token = device()
    places = ["software-1"]

    async def use() -> None:
        tokens = make_tokens(more_finders=[lambda: [candidate(token, places[0])]])
        credential: TokenCredential = await tokens.enrol("software-1", user_verification=False, ui=FakeUi())
        places[0] = "software-2"
        await tokens.approve(credential, CHALLENGE, HANDLES, ui=FakeUi())

    asyncio.run(use())
