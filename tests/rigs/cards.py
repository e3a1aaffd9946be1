"""One small protocol for every kind of card that the card contract runs on."""

from __future__ import annotations

from typing import Any, Protocol

import pytest

from ownerd.core.ports import TokenPort


class CardRig(Protocol):
    """A card with P-256 signing and agreement keys, its PIN set, and a view past the adapter.

    ``type`` is `TokenCredential.type`.
    """

    type: str
    pin: bytes

    def tokens(self, **options: Any) -> TokenPort:
        """A new adapter that finds this card, as the daemon makes it."""

    def tries(self) -> int | None:
        """PIN tries that are left, read past the adapter; None where nothing says."""

    def block(self, left: int) -> None:
        """Use up PIN tries, past the adapter, until ``left`` are left."""

    def insert(self) -> None:
        """Put the card in again."""

    def remove(self) -> None:
        """Take the card away."""


@pytest.fixture(params=[pytest.param("piv", marks=pytest.mark.in_pcsc_rig), "pkcs11"])
def card_rig(request: pytest.FixtureRequest) -> CardRig:
    """A present card of every kind that can be had without hardware; each kind has a fixture ``KIND_card``."""
    rig: CardRig = request.getfixturevalue(f"{request.param}_card")
    return rig
