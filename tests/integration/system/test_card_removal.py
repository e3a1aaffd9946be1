"""Taking out the PIV card that opened the vault locks: the real daemon, pcscd, a virtual reader."""

from __future__ import annotations

import time
from typing import Any

import pytest
from demo.stage import Stage
from tests.rigs import pcsc
from tests.rigs._logind import newest_entry
from tests.rigs.piv import PivRig
from tests.rigs.system import CardWorld

pytestmark = pytest.mark.in_pcsc_rig

# Of a contact card, as a PIV card of the US government has it: contactless ones are not watched.
CONTACT_ATR = bytes.fromhex("3BDB9600801F030031C064B0F310000FA9")
# Two looks, a second and a half apart; and what pcscd needs to see that the card has gone.
DEBOUNCE_SECONDS = 3.0


@pytest.fixture
def card(piv_rigs: Any, monkeypatch: pytest.MonkeyPatch) -> PivRig:
    """A PIV card that stays in its reader."""
    monkeypatch.setattr(pcsc, "ATR", CONTACT_ATR)
    made: PivRig = piv_rigs()
    made.insert()
    return made


@pytest.fixture
def open_vault(card: PivRig, stage: Stage) -> CardWorld:
    """A vault that the card has just opened."""
    world = CardWorld(stage, card.pin, set_up_acts=1)
    world.set_up()
    assert stage.tool("lock").wait() == 0
    assert world.daemon.wait(10) == 0
    world.daemon = stage.start_daemon()
    world.unlock()
    return world


def test_the_card_that_opened_the_vault_locks_it_when_it_goes(card: PivRig, open_vault: CardWorld) -> None:
    began = time.monotonic()
    card.remove()
    assert open_vault.daemon.wait(10) == 0
    assert time.monotonic() - began > 1.5, "not at the first look"
    newest = newest_entry(open_vault.stage.database)
    assert newest == {"kind": "locked", "facts": {"reason": "token removed"}}
    open_vault.verify()


def test_a_card_that_is_put_back_at_once_does_not_lock_and_is_watched_on(
    card: PivRig, open_vault: CardWorld
) -> None:
    card.remove()
    time.sleep(0.8)  # pcscd's own poll; a faster change leaves its reader unpowered
    card.insert()
    time.sleep(2 * DEBOUNCE_SECONDS)
    assert open_vault.tool_json("status")["unlocked"]
    card.remove()
    assert open_vault.daemon.wait(10) == 0


def test_another_card_in_the_same_reader_locks(card: PivRig, open_vault: CardWorld, piv_rigs: Any) -> None:
    card.remove()
    time.sleep(0.8)
    piv_rigs().insert()
    assert open_vault.daemon.wait(10) == 0
    newest = newest_entry(open_vault.stage.database)
    assert newest == {"kind": "locked", "facts": {"reason": "token removed"}}
