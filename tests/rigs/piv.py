"""PIV cards for the virtual reader: our software applet behind real pcscd and vpcd."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tests.rigs._pcsc_namespace import VPCD_PORT
from tests.rigs._piv_applet import PIN, PivApplet
from tests.rigs.pcsc import MARKER, REPORTS, VpcdCard, wait_for_card

from ownerd.core.seal import key_check
from ownerd.tokens.piv_port import PivTokens

P256, P384 = ec.SECP256R1(), ec.SECP384R1()


@functools.cache
def rsa_key(number: int = 0) -> rsa.RSAPrivateKey:
    """An RSA key; making one takes a while, so tests share them."""
    return rsa.generate_private_key(65537, 2048)


class PivRig:
    """One PIV card and its slot. Implements `tests.rigs.cards.CardRig`."""

    type = "piv"
    pin = PIN

    def __init__(self, applet: PivApplet | None = None, *, slot: int = 0, curve: Any = P256) -> None:
        if applet is None:
            key, other = ec.generate_private_key(curve), ec.generate_private_key(curve)
            applet = PivApplet(signing=key, agreement=other)
        self.applet = applet
        self.slot = slot
        self.card: VpcdCard | None = None

    def tokens(self, **options: Any) -> PivTokens:
        """A new adapter, as the daemon makes it."""
        return PivTokens(key_check=key_check, **options)

    def tries(self) -> int:
        """PIN tries that are left, read past the adapter."""
        return self.applet.counter

    def block(self, left: int) -> None:
        """Use up PIN tries until ``left`` are left."""
        self.applet.counter = left

    def insert(self) -> None:
        """Put the card in, and wait until pcscd sees it."""
        self.card = VpcdCard(self.applet, port=VPCD_PORT + self.slot)
        wait_for_card(self.slot, present=True)

    def remove(self) -> None:
        """Take the card out, and wait until pcscd sees it."""
        left_before = self.card is not None and not self.card._thread.is_alive()
        self.yank()
        wait_for_card(self.slot, present=False)
        if left_before:
            # We see it gone, but pcscd's own poll must too: a faster change leaves its reader unpowered.
            time.sleep(0.8)

    def yank(self) -> None:
        """Take the card out and do not wait."""
        if self.card is not None:
            self.card.remove()
            self.card = None


@pytest.fixture
def piv_rigs() -> Iterator[Any]:
    """Makes PIV cards, not yet inserted: ``piv_rigs(applet, slot=…, curve=…)``."""
    assert REPORTS in os.environ, f"mark the test with {MARKER}"
    made: list[PivRig] = []

    def make(applet: PivApplet | None = None, **options: Any) -> PivRig:
        made.append(PivRig(applet, **options))
        return made[-1]

    yield make
    for rig in made:
        if rig.card is not None:
            rig.remove()


@pytest.fixture
def piv_card(piv_rigs: Any) -> PivRig:
    """A P-256 card with certificates in the reader."""
    rig: PivRig = piv_rigs()
    rig.insert()
    return rig
