"""What the owner reads and types before new keys are made on a card."""

from __future__ import annotations

import asyncio

import pytest
from tests.rigs.core import APP, TTY, make_core
from tests.rigs.stores import FakeStore

from ownerd.core.session import DeskUi
from ownerd.model.errors import Dismissed, ManagementKeyWrong
from ownerd.model.token import TokenInfo

CARD = TokenInfo("piv-1", "PIV card in a reader", "pcsc", "", 0, has_pin=True, pin_tries=3, software=False)
KEY = bytes(range(0xA0, 0xB8))


def type_key(typed: bytes) -> tuple[bytes, list[str]]:
    """What comes of a typed management key, and what was shown."""

    async def story() -> tuple[bytes, list[str]]:
        rig = make_core(FakeStore())
        rig.owner.pins = [typed]
        with rig.session.desk.open("setup", APP, rig.job(TTY)) as act:
            ui = DeskUi(rig.session.desk, act, lambda *_: None)
            return (await ui.management_key(CARD)).reveal(), rig.owner.shown

    return asyncio.run(story())


@pytest.mark.parametrize("size", [16, 24, 32])
def test_a_management_key_is_typed_in_hex_as_people_write_it(size: int) -> None:
    key = bytes(range(0xA0, 0xA0 + size))
    for typed in (key.hex(), key.hex().upper(), key.hex(" ", 4), key.hex(":"), key.hex("-", 2)):
        read, (shown,) = type_key(typed.encode())
        assert read == key
    assert shown.startswith("Management key of PIV card in a reader, in hexadecimal")


@pytest.mark.parametrize(
    "typed",
    [KEY.hex()[:-1], KEY.hex() + "0", KEY.hex()[:-2], KEY.hex()[:-1] + "g", "123456", "-" * 48, "\u0661" * 48, "0" * 129],
)  # fmt: skip
def test_anything_else_is_refused_without_its_value(typed: str) -> None:
    with pytest.raises(ManagementKeyWrong, match="32, 48 or 64 hexadecimal digits") as caught:
        type_key(typed.encode())
    assert typed not in str(caught.value)


@pytest.mark.parametrize(
    ("shown", "says"),
    [
        ([], "It shows none now"),
        (["9C"], "usable keys with certificates now, in 9C: these are LOST"),
        (["9C", "9D"], "usable keys with certificates now, in 9C and 9D: these are LOST"),
    ],
)
def test_what_is_lost_is_said_before_it_is(shown: list[str], says: str) -> None:
    async def story() -> None:
        rig = make_core(FakeStore())
        with rig.session.desk.open("setup", APP, rig.job(TTY)) as act:
            ui = DeskUi(rig.session.desk, act, lambda *_: None)
            await ui.confirm_new_keys(CARD, shown)
            assert says in rig.owner.shown[0]
            assert "9C (signature) and 9D (key management) are replaced" in rig.owner.shown[0]
            rig.owner.decision = False
            with pytest.raises(Dismissed):
                await ui.confirm_new_keys(CARD, shown)

    asyncio.run(story())
