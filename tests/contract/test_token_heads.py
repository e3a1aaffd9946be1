"""Heads on tokens: `TokenPort.read_head` and `write_head` on every adapter and transport that can be had without hardware."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fido2.ctap2.base import Ctap2
from fido2.ctap2.blob import LargeBlobs
from tests.rigs.ports import PortRig, only

from ownerd.core.ports import TokenPort
from ownerd.model.errors import Busy, ManagementKeyWrong, PinNeeded, PinWrong, Unsupported
from ownerd.model.token import TokenCredential

FIRST, SECOND, BIG = b"first head\n", b"second head\n" * 30, bytes(range(256)) * 4
FIDO2 = ("in-process", "pcsc", "socket")


async def enrolled(rig: PortRig, *, user_verification: bool) -> tuple[TokenPort, TokenCredential]:
    tokens = rig.tokens()
    return tokens, await rig.enrol(tokens, user_verification=user_verification)


@only(*FIDO2)
def test_a_token_without_a_pin_keeps_a_head_and_asks_for_nothing(port_rig: PortRig) -> None:
    async def use() -> None:
        tokens, credential = await enrolled(port_rig, user_verification=False)
        port_rig.person("absent")  # type: ignore[attr-defined]
        assert await tokens.read_head(credential) is None
        await tokens.write_head(credential, FIRST, None, ui=None)
        assert await tokens.read_head(credential) == FIRST
        for note in (SECOND, BIG):
            await tokens.write_head(credential, note, await tokens.read_head(credential), ui=None)
            assert await port_rig.tokens().read_head(credential) == note

    asyncio.run(use())


@only(*FIDO2)
def test_another_head_is_not_written_over(port_rig: PortRig) -> None:
    async def use() -> None:
        tokens, credential = await enrolled(port_rig, user_verification=False)
        await tokens.write_head(credential, FIRST, None, ui=None)
        for stale in (None, SECOND):
            with pytest.raises(Busy):
                await tokens.write_head(credential, SECOND, stale, ui=None)
        assert await tokens.read_head(credential) == FIRST

    asyncio.run(use())


@only(*FIDO2)
def test_with_a_pin_it_is_read_without_and_written_with_one_typed_pin(port_rig: PortRig) -> None:
    async def use() -> None:
        tokens, credential = await enrolled(port_rig, user_verification=True)
        port_rig.person("absent")  # type: ignore[attr-defined]
        full = port_rig.tries()
        with pytest.raises(PinNeeded):
            await tokens.write_head(credential, FIRST, None, ui=None)
        assert await tokens.read_head(credential) is None
        assert port_rig.tries() == full, "background paths use up no try"
        ui = port_rig.ui()
        await tokens.write_head(credential, FIRST, None, ui=ui)
        assert (ui.names, await tokens.read_head(credential)) == (["pin"], FIRST)
        wrong = port_rig.ui(port_rig.wrong_pin)
        with pytest.raises(PinWrong):
            await tokens.write_head(credential, SECOND, FIRST, ui=wrong)
        assert full is not None
        assert (port_rig.tries(), wrong.names) == (full - 1, ["pin"])
        assert await tokens.read_head(credential) == FIRST

    asyncio.run(use())


@only("in-process", "pcsc")
def test_blobs_of_others_stay(port_rig: PortRig) -> None:
    async def use() -> None:
        tokens, credential = await enrolled(port_rig, user_verification=False)
        key = bytes(32)
        with port_rig.rig.raw() as device:
            LargeBlobs(Ctap2(device)).put_blob(key, b"somebody's")
        await tokens.write_head(credential, FIRST, None, ui=None)
        await tokens.write_head(credential, SECOND, FIRST, ui=None)
        with port_rig.rig.raw() as device:
            assert LargeBlobs(Ctap2(device)).get_blob(key) == b"somebody's"
            assert len(LargeBlobs(Ctap2(device)).read_blob_array()) == 2

    asyncio.run(use())


@only("in-process")
def test_a_token_without_large_blobs_or_with_an_endless_one_says_so(
    port_rig: PortRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ownerd.model.errors import ProtocolBroken

    async def use() -> None:
        tokens, credential = await enrolled(port_rig, user_verification=False)

        def endless(self: Any, offset: int, **parameters: Any) -> dict[int, Any]:
            return {1: bytes(parameters["get"])}

        with monkeypatch.context() as patch:
            patch.setattr(Ctap2, "large_blobs", endless)
            with pytest.raises(ProtocolBroken):
                await tokens.read_head(credential)
        monkeypatch.setattr(LargeBlobs, "is_supported", staticmethod(lambda _info: False))
        with pytest.raises(Unsupported):
            await tokens.read_head(credential)

    asyncio.run(use())


@only("piv")
def test_a_card_shows_its_head_to_anybody_and_takes_one_with_its_management_key(port_rig: PortRig) -> None:
    async def use() -> None:
        tokens, credential = await enrolled(port_rig, user_verification=True)
        full = port_rig.tries()
        assert await tokens.read_head(credential) is None
        with pytest.raises(PinNeeded):
            await tokens.write_head(credential, FIRST, None, ui=None)
        ui = port_rig.ui()
        ui.management = bytes(24)
        with pytest.raises(ManagementKeyWrong):
            await tokens.write_head(credential, FIRST, None, ui=ui)
        assert await tokens.read_head(credential) is None
        ui = port_rig.ui()
        ui.management = bytes(range(24))
        await tokens.write_head(credential, SECOND, None, ui=ui)
        assert await port_rig.tokens().read_head(credential) == SECOND
        with pytest.raises(Busy):
            await tokens.write_head(credential, FIRST, None, ui=ui)
        assert ui.names == ["management key"] * 2
        assert port_rig.tries() == full

    asyncio.run(use())


@only("pkcs11")
def test_a_token_behind_a_module_keeps_none(port_rig: PortRig) -> None:
    async def use() -> None:
        tokens, credential = await enrolled(port_rig, user_verification=True)
        with pytest.raises(Unsupported):
            await tokens.read_head(credential)
        with pytest.raises(Unsupported):
            await tokens.write_head(credential, FIRST, None, ui=port_rig.ui())

    asyncio.run(use())
