"""Every way into a vault that can be had without hardware, under one small protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from tests.rigs.core import FakeToken, FakeTokens

from ownerd.core.ports import TokenPort

PIN = b"123456"


@dataclass(frozen=True)
class Way:
    """``tokens`` makes a new adapter, as each start of the daemon does; ``recovery``: by the code alone."""

    kind: str
    tokens: Callable[[], TokenPort]
    pin: bytes = PIN
    with_pin: bool = False
    recovery: bool = False


@pytest.fixture(
    params=[
        "fido2-in-process",
        pytest.param("fido2-pcsc", marks=pytest.mark.in_pcsc_rig),
        pytest.param("piv", marks=pytest.mark.in_pcsc_rig),
        "pkcs11",
        "recovery",
    ]
)
def way(request: pytest.FixtureRequest) -> Way:
    """A FIDO2 token in process and over PC/SC, a PIV card, a PKCS#11 module, the recovery code."""
    kind = str(request.param)
    if kind == "recovery":
        old, new = FakeToken("A"), FakeToken("B")
        return Way(kind, lambda: FakeTokens(old, new), recovery=True)
    if kind in ("piv", "pkcs11"):
        card = request.getfixturevalue(f"{kind}_card")
        return Way(kind, card.tokens, card.pin, with_pin=True)
    from tests.rigs.tokens import RiggedCard, RiggedInProcess

    rig = (
        RiggedInProcess() if kind == "fido2-in-process" else RiggedCard(request.getfixturevalue("nfc_token"))
    )
    return Way(kind, rig.tokens)
