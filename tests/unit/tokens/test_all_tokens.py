"""Several adapters behind one port: who is asked, in which order, and what a broken one costs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from tests.rigs.tokens import FakeUi, make_tokens

from ownerd.core.ports import Recognised
from ownerd.core.seal import key_check
from ownerd.model.errors import Busy, OwnerdError, TokenMissing, Unsupported
from ownerd.model.token import TokenCredential, TokenInfo
from ownerd.tokens.all_tokens import AllTokens
from ownerd.tokens.pkcs11_port import Pkcs11Tokens
from ownerd.tokens.presence import Sight


def info(token_id: str) -> TokenInfo:
    return TokenInfo(token_id, token_id, "pcsc", "", 0, True, 3, False)


def credential(kind: Any, number: int) -> TokenCredential:
    return TokenCredential(kind, f"{kind}{number}", b"", {}, True, "", 0, False, "")


class Port:
    """An adapter that finds ``here`` and notes every call."""

    def __init__(self, *here: str, problem: OwnerdError | None = None) -> None:
        self.here, self.problem = here, problem
        self.calls: list[Any] = []
        self.waits = asyncio.Event()

    async def present(self) -> list[TokenInfo]:
        self.calls.append("present")
        if self.problem:
            raise self.problem
        return [info(one) for one in self.here]

    async def locate(self, credentials: Sequence[TokenCredential]) -> TokenCredential:
        self.calls.append([one.id for one in credentials])
        if self.problem:
            raise self.problem
        for one in credentials:
            if one.id in self.here:
                return one
        raise TokenMissing("none")

    async def recognise(self, credentials: Sequence[TokenCredential]) -> Recognised:
        self.calls.append("recognise")
        here = {one.id: f"at {one.id}" for one in credentials if one.id in self.here}
        return Recognised(here, ("a reader: busy",) if self.problem else ())

    async def enrol(self, token_id: str, **_: Any) -> str:
        return f"enrolled {token_id}"

    async def approve(self, one: TokenCredential, *_: Any, **__: Any) -> str:
        await self.waits.wait()
        return f"approved {one.id}"

    async def make_keys(self, token_id: str, algorithm: str, **_: Any) -> None:
        self.calls.append(f"make {algorithm} {token_id}")

    async def change_pin(self, token_id: str, **_: Any) -> None:
        self.calls.append(f"change {token_id}")

    async def sight(self, one: TokenCredential) -> Sight:
        return Sight(f"{one.id} is here")


def all_tokens(fido: Any, piv: Any) -> AllTokens:
    return AllTokens({"fido2": lambda: fido, "piv": lambda: piv})


def test_only_piv_cards_have_keys_made_on_them() -> None:
    for port in (make_tokens(), Pkcs11Tokens([], key_check=key_check)):
        with pytest.raises(Unsupported, match="keys"):
            asyncio.run(port.make_keys("usb-1", "P-256", keep=[], ui=FakeUi()))


def test_calls_go_to_the_adapter_of_the_type() -> None:
    async def use() -> None:
        fido, piv = Port("usb-1"), Port("piv-1")
        tokens = all_tokens(fido, piv)
        assert [one.id for one in await tokens.present()] == ["usb-1", "piv-1"]
        for token_id in ("usb-1", "piv-1"):
            made: Any = await tokens.enrol(token_id, user_verification=True, ui=FakeUi())
            assert made == f"enrolled {token_id}"
            await tokens.make_keys(token_id, "P-384", keep=[], ui=FakeUi())
            await tokens.change_pin(token_id, ui=FakeUi())
        assert fido.calls[-2:] == ["make P-384 usb-1", "change usb-1"]
        assert piv.calls[-2:] == ["make P-384 piv-1", "change piv-1"]
        for kind in ("fido2", "piv"):
            assert (await tokens.sight(credential(kind, 1))) == Sight(f"{kind}1 is here")
        with pytest.raises(Unsupported):
            await tokens.approve(credential("pkcs11", 1), bytes(32), [], ui=FakeUi())

    asyncio.run(use())


def test_the_first_credential_wins_whatever_its_type_and_later_ones_are_not_asked_for() -> None:
    fido1, piv1, fido2 = credential("fido2", 1), credential("piv", 1), credential("fido2", 2)

    async def locate(fido: Port, piv: Port, *wanted: TokenCredential) -> TokenCredential:
        return await all_tokens(fido, piv).locate(wanted)

    async def use() -> None:
        piv = Port("piv1")
        assert await locate(Port("fido22"), piv, fido1, piv1, fido2) == piv1
        assert await locate(Port("fido21"), idle := Port("piv1"), fido1, piv1) == fido1
        assert idle.calls == []
        assert await locate(Port(problem=Busy("b")), piv, fido1, piv1) == piv1
        with pytest.raises(Busy):
            await locate(Port(problem=Busy("b")), Port(), fido1, piv1)
        with pytest.raises(Busy):
            await locate(Port(), Port(problem=Busy("b")), fido1, piv1)
        with pytest.raises(TokenMissing):
            await locate(Port(), Port(), fido1, piv1)
        with pytest.raises(TokenMissing):
            await locate(Port(), Port())

    asyncio.run(use())


def test_a_broken_adapter_hides_no_other_and_a_waiting_one_is_not_disturbed() -> None:
    async def use() -> None:
        fido, piv = Port("usb-1"), Port("piv-1", problem=Busy("b"))
        tokens = all_tokens(fido, piv)
        assert [one.id for one in await tokens.present()] == ["usb-1"]
        piv.problem = None
        await tokens.present()
        approving = asyncio.create_task(tokens.approve(credential("fido2", 1), b"", [], ui=FakeUi()))
        await asyncio.sleep(0)
        asked = len(piv.calls)
        assert [one.id for one in await tokens.present()] == ["usb-1", "piv-1"]
        assert len(piv.calls) == asked
        fido.waits.set()
        await approving
        await tokens.present()
        assert len(piv.calls) == asked + 1

    asyncio.run(use())


def test_every_adapter_recognises_its_own_and_a_reader_that_is_busy_for_two_is_named_once() -> None:
    async def use() -> None:
        fido, piv = Port("fido21", problem=Busy("b")), Port("piv1", problem=Busy("b"))
        tokens = all_tokens(fido, piv)
        seen = await tokens.recognise([credential("fido2", 1), credential("fido2", 2), credential("piv", 1)])
        assert seen.tokens == {"fido21": "at fido21", "piv1": "at piv1"}
        assert seen.busy == ("a reader: busy",)

    asyncio.run(use())


def test_while_one_adapter_works_the_others_recognise_from_memory() -> None:
    async def use() -> None:
        fido, piv, one = Port("fido21"), Port("piv1"), credential("fido2", 1)
        tokens = all_tokens(fido, piv)
        before = await tokens.recognise([one, credential("piv", 1)])
        working = asyncio.create_task(tokens.approve(one, bytes(32), [], ui=FakeUi()))
        await asyncio.sleep(0)
        assert await tokens.recognise([one, credential("piv", 1)]) == before
        assert (fido.calls.count("recognise"), piv.calls.count("recognise")) == (2, 1)
        assert (await tokens.recognise([one])).tokens == {"fido21": "at fido21"}
        fido.waits.set()
        await working

    asyncio.run(use())


def test_an_adapter_is_made_once_and_at_its_first_use() -> None:
    made: list[Port] = []
    fido: Any = Port("fido21")

    def make() -> Any:
        made.append(Port("piv1"))
        return made[-1]

    async def use() -> None:
        tokens = AllTokens({"fido2": lambda: fido, "piv": make})
        await tokens.locate([credential("fido2", 1)])
        assert made == []
        for _ in range(2):
            assert (await tokens.locate([credential("piv", 1)])).id == "piv1"
        await tokens.present()
        assert len(made) == 1

    asyncio.run(use())
