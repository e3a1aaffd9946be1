"""A PIN is set and changed with the real daemon, a real pinentry and the software token; it then opens the vault."""

from __future__ import annotations

import pytest
from demo.stage import Screen, touch
from tests.rigs.system import World

OLD, NEW = "2468ace", "1357bdf"
TOKEN = "software token 1 (for trying out)"


def type_pins(tool: Screen, *asked: tuple[str, str]) -> None:
    """Answer each prompt: what it says, and what is typed."""
    for words, pin in asked:
        shown = tool.wait_for(r"PIN: ?$")
        assert words in shown, shown
        tool.type(f"{pin}\n")


def change(world: World, *asked: tuple[str, str]) -> tuple[int, str]:
    """Run ``ownerctl token pin``; returns its exit code and all that its terminal showed."""
    tool = world.stage.tool("token", "pin")
    type_pins(tool, *asked)
    return tool.wait(), tool.text


def unlock(world: World, words: str, pin: str) -> tuple[int, str]:
    """Run ``ownerctl unlock``, whose prompt says ``words``; a right PIN is followed by a touch."""
    tool = world.stage.tool("unlock")
    type_pins(tool, (words, pin))
    if pin == world.pin:
        touch(world.token)
    return tool.wait(), tool.text


@pytest.fixture
def with_pin(world: World) -> World:
    """A vault whose token is used with its PIN, which `ownerctl token pin` has set."""
    code, shown = change(world, (f"New PIN of {TOKEN}.", OLD), ("once more", OLD))
    assert (code, f"changed the PIN of {TOKEN}" in shown) == (0, True), shown
    world.pin = OLD
    world.set_up()
    assert world.stage.tool("lock").wait() == 0
    world.daemon.wait()
    return world


def test_a_new_pin_opens_the_vault_and_the_old_one_does_not(with_pin: World) -> None:
    code, shown = change(
        with_pin,
        (f"PIN of {TOKEN}, to change it.\n8 tries left.", OLD),
        (f"New PIN of {TOKEN}.", NEW),
        ("once more", NEW),
    )
    assert (code, f"changed the PIN of {TOKEN}" in shown) == (0, True), shown
    assert OLD not in shown
    assert NEW not in shown

    with_pin.pin = NEW
    code, shown = unlock(with_pin, "to unlock the vault.\n8 tries left.", OLD)
    assert code == 4, shown
    assert "7 tries left" in shown
    assert unlock(with_pin, "7 tries left.", NEW)[0] == 0
    assert with_pin.tool_json("status")["unlocked"] is True


def test_a_wrong_old_pin_costs_one_try_and_changes_nothing(with_pin: World) -> None:
    code, shown = change(with_pin, ("8 tries left.", "wrong-pin"), ("New PIN", NEW), ("once more", NEW))
    assert code == 4, shown
    assert "7 tries left" in shown
    assert unlock(with_pin, "7 tries left.", OLD)[0] == 0
    assert change(with_pin, ("8 tries left.", OLD), ("New PIN", NEW), ("once more", NEW))[0] == 0


def test_new_pins_that_are_unlike_are_asked_for_again_and_nothing_is_sent_before_they_are_alike(
    with_pin: World,
) -> None:
    unlike = [("New PIN", NEW), ("once more", NEW[::-1])]
    code, shown = change(with_pin, ("8 tries left.", OLD), *(3 * unlike))
    assert code != 0
    assert "the new PIN was not typed twice alike" in shown
    code, shown = change(
        with_pin,
        ("8 tries left.", OLD),
        *unlike,
        ("The two were not alike, and nothing has changed yet.", NEW),
        ("once more", NEW),
    )
    assert code == 0, shown
    with_pin.pin = NEW
    assert unlock(with_pin, "8 tries left.", NEW)[0] == 0
