"""What tests of PIV cards share: the challenge, new secrets, a person who types the right PIN, who counts PINs."""

from __future__ import annotations

import hashlib
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.rigs._piv_applet import PIN
from tests.rigs.piv import P256, PivRig
from tests.rigs.tokens import FakeUi

from ownerd.model.token import SecretHandle, TokenCredential
from ownerd.tokens.piv_port import PivTokens

CHALLENGE = hashlib.sha256(b"challenge").digest()


def salt(curve: Any = P256) -> SecretHandle:
    """A handle for a new secret of a card."""
    public = ec.generate_private_key(curve).public_key()
    return SecretHandle(public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))


def typing(**options: Any) -> FakeUi:
    """A person who types the right PIN once."""
    return FakeUi(pins=[PIN], **options)


def typed_pins(rig: PivRig) -> int:
    """How often the card was sent a PIN."""
    return sum(one.ins == 0x20 and bool(one.data) for one in rig.applet.log)


async def enrol(tokens: PivTokens) -> TokenCredential:
    """Enrol the only card."""
    (info,) = await tokens.present()
    return await tokens.enrol(info.id, user_verification=True, ui=FakeUi(pins=[]))
