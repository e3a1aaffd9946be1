"""One small protocol for every token that the contract of `TokenPort` runs on; what a kind cannot do it says.

`PortRig` is a view past the adapter (the person, the PIN, the counter) and what differs between the kinds.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fido2.ctap2.base import Ctap2
from msgspec import structs
from tests.rigs.cards import CardRig
from tests.rigs.tokens import PIN, FakeUi, RiggedCard, RiggedInProcess, RiggedSocket, candidate

from ownerd.core.ports import TokenPort
from ownerd.ledger.approval import verify_card, verify_fido2
from ownerd.model.token import CardApproval, Fido2Approval, SecretHandle, TokenAnswer, TokenCredential

CHALLENGE = hashlib.sha256(b"challenge").digest()


@dataclass
class PortRig:
    """One present token. ``rig`` is the rig of its kind; the fields say what the kind can do.

    ``modes``: values of ``user_verification`` that can be enrolled; True always can. ``has_touch``: a touch is
    announced and waited for, else the PIN is the act. ``transport`` and ``software`` as `TokenInfo` has them.
    """

    rig: Any
    type: str
    transport: str
    software: bool
    modes: ClassVar[tuple[bool, ...]] = (True,)
    has_touch: ClassVar[bool] = False
    wrong_pin: ClassVar[bytes] = b"135790"
    bad_salts: ClassVar[tuple[bytes, ...]] = ()
    pin: bytes = PIN
    impossible_pins: tuple[bytes, ...] = ()

    def tokens(self, **options: Any) -> TokenPort:
        """A new adapter that finds this token, as the daemon makes it."""
        port: TokenPort = self.rig.tokens(**options)
        return port

    def tries(self) -> int | None:
        """PIN tries that are left, read past the adapter; None where nothing says."""
        tries: int | None = self.rig.tries()
        return tries

    def ui(self, *pins: bytes) -> FakeUi:
        """A person who types ``pins``, or always the right one."""
        return FakeUi(pins=list(pins) or [self.pin] * 9)

    def acts(self, *, user_verification: bool) -> list[str]:
        """What the person is asked for one approval."""
        return ["pin"] * user_verification + ["touch"] * self.has_touch

    def require_pin(self) -> None:
        """See to it that the token has the PIN ``pin``."""

    def handle(self) -> SecretHandle:
        """A name for a secret that nobody has asked for yet."""
        raise NotImplementedError

    def stranger(self, credential: TokenCredential) -> TokenCredential:
        """A credential of the same kind on no token that is here."""
        raise NotImplementedError

    def verify(self, answer: TokenAnswer, credential: TokenCredential) -> None:
        """As the ledger verifies it."""
        raise NotImplementedError

    def block(self, left: int) -> None:
        """Use up PIN tries past the adapter."""
        raise NotImplementedError

    def remove(self) -> None:
        """Take the token away."""
        self.rig.remove()

    def insert(self) -> None:
        """Bring the token back."""
        self.rig.insert()

    async def enrol(
        self, tokens: TokenPort, ui: FakeUi | None = None, *, user_verification: bool = True
    ) -> TokenCredential:
        """Enrol the only token that is there."""
        if user_verification:
            self.require_pin()
        (info,) = await tokens.present()
        return await tokens.enrol(info.id, user_verification=user_verification, ui=ui or self.ui())


class Fido2PortRig(PortRig):
    """A token without a PIN until one is required. ``block`` works where its state is in this process."""

    modes = (False, True)
    has_touch = True
    wrong_pin = b"wrong-pin"
    bad_salts = (b"", bytes(31), bytes(33), bytes(64))

    def person(self, does: str) -> None:
        """Choose what the person does from now on: "touch", "refuse" or "absent"."""
        self.rig.person(does)

    def require_pin(self) -> None:
        if not self._has_pin():
            self.rig.set_pin()

    def tries(self) -> int | None:
        return int(self.rig.tries()) if self._has_pin() else None

    def handle(self) -> SecretHandle:
        return SecretHandle(os.urandom(32))

    def stranger(self, credential: TokenCredential) -> TokenCredential:
        return structs.replace(credential, id="0" * 16, credential_id=os.urandom(32))

    def verify(self, answer: TokenAnswer, credential: TokenCredential) -> None:
        assert isinstance(answer.approval, Fido2Approval)
        assert answer.approval.token == credential.id
        verify_fido2(answer.approval, CHALLENGE, credential)

    def block(self, left: int) -> None:
        is_card = isinstance(self.rig, RiggedCard)
        state = self.rig.token.state if is_card else self.rig.device.authenticator.core.state
        state.pin_tries = left

    def remove(self) -> None:
        if isinstance(self.rig, RiggedCard):
            self.rig.token.remove()
        else:
            self.rig.here = False

    def insert(self) -> None:
        if isinstance(self.rig, RiggedCard):
            self.rig.token.insert()
        else:
            self.rig.here = True

    def _has_pin(self) -> bool:
        with self.rig.raw() as device:
            return Ctap2(device).info.options["clientPin"] is True


class CardPortRig(PortRig):
    """A card with keys on P-256 and a PIN, which is asked for each time."""

    bad_salts = (b"", bytes(32), b"\x04" + bytes(64), b"\x02" + bytes(32))

    def handle(self) -> SecretHandle:
        point = ec.generate_private_key(ec.SECP256R1()).public_key()
        return SecretHandle(point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))

    def stranger(self, credential: TokenCredential) -> TokenCredential:
        other = credential.agreement_key or {}
        return structs.replace(credential, id="0" * 16, credential_id=bytes(32), public_key=other)

    def verify(self, answer: TokenAnswer, credential: TokenCredential) -> None:
        assert isinstance(answer.approval, CardApproval)
        assert (answer.approval.token, answer.approval.type) == (credential.id, self.type)
        verify_card(answer.approval, CHALLENGE, credential)

    def block(self, left: int) -> None:
        self.rig.block(left)


FIDO2_PINS = (b"123", b"x" * 64, b"\xff\xfe\xfd\xfc", b"")
PIV_PINS = (b"12345", b"123456789", b"12345\xff", b"")
HSM_PINS = (b"123", b"x" * 256, b"")
_IN_RIG = pytest.mark.in_pcsc_rig
# The cards are not the last: pytest tears a module down after a test of this process alone.
_KINDS = {
    "in-process": pytest.param("in-process"),
    "pcsc": pytest.param("pcsc", marks=_IN_RIG),
    "piv": pytest.param("piv", marks=_IN_RIG),
    "socket": pytest.param("socket"),
    "pkcs11": pytest.param("pkcs11"),
}


def only(*kinds: str) -> pytest.MarkDecorator:
    """A test of the kinds that can do what it is about."""
    return pytest.mark.parametrize("port_rig", [_KINDS[kind] for kind in kinds], indirect=True)


@pytest.fixture(params=list(_KINDS.values()))
def port_rig(request: pytest.FixtureRequest) -> PortRig:
    """A present token of every kind, over every transport that can be had without hardware."""
    kind = str(request.param)
    if kind in ("piv", "pkcs11"):
        card: CardRig = request.getfixturevalue(f"{kind}_card")
        if kind == "piv":
            return CardPortRig(card, "piv", "pcsc", software=False, pin=card.pin, impossible_pins=PIV_PINS)
        return CardPortRig(card, "pkcs11", "pkcs11", software=True, pin=card.pin, impossible_pins=HSM_PINS)
    rig: Any = RiggedInProcess() if kind == "in-process" else None
    if kind == "in-process":
        rig.here = True
        rig.finder = lambda: [candidate(rig.device)] if rig.here else []
    elif kind == "pcsc":
        rig = RiggedCard(request.getfixturevalue("nfc_token"))
    else:
        rig = RiggedSocket(request.getfixturevalue("softtoken_process"))
    return Fido2PortRig(rig, "fido2", rig.transport, software=True, impossible_pins=FIDO2_PINS)
