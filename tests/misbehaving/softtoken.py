"""An authenticator that lies: every answer is well signed by the real key unless the misdeed says otherwise.

``token = make_authenticator(authenticator_type=Misbehaving)``, then ``token.misdeeds.add(Misdeed.UP_CLEAR)``;
misdeeds touch makeCredential and getAssertion only, so that the token can be opened and its PIN used; but one that
`SAYS_OTHER` answers everything with 0x7F.
"""

from __future__ import annotations

from enum import Enum, auto
from threading import Event
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2 import cbor
from fido2.ctap import STATUS, CtapError
from fido2.webauthn import AuthenticatorData
from msgspec.structs import replace

from ownerd.softtoken.authenticator import CMD, Authenticator
from ownerd.softtoken.core import Core, Keepalive

FLAG = AuthenticatorData.FLAG
OVERSIZED_BYTES = 7000
NESTED_LEVELS = 3000


class Misdeed(Enum):
    """What goes wrong in the next answers."""

    UP_CLEAR = auto()
    UV_CLEAR = auto()
    UV_SET = auto()
    WRONG_RP = auto()
    OTHER_CREDENTIAL = auto()
    WRONG_SIGNATURE = auto()
    OTHER_SECRET = auto()
    SHORT_SECRET = auto()
    NO_SECRET = auto()
    COUNTER_BACK = auto()
    TRUNCATED = auto()
    OVERSIZED = auto()
    NESTED_CBOR = auto()
    ENDLESS_KEEPALIVE = auto()
    ANSWERS_AFTER_CANCEL = auto()
    SAYS_OTHER = auto()


class Misbehaving(Authenticator):
    """See the module. ``released`` ends an endless keep-alive, so that the test can end."""

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self.misdeeds: set[Misdeed] = set()
        self.released = Event()

    def call(
        self, request: bytes, cancel: Event | None = None, on_keepalive: Keepalive | None = None
    ) -> bytes:
        if Misdeed.SAYS_OTHER in self.misdeeds:
            return bytes([CtapError.ERR.OTHER])
        if request[:1] not in {bytes([CMD.MAKE_CREDENTIAL]), bytes([CMD.GET_ASSERTION])}:
            return super().call(request, cancel, on_keepalive)
        if Misdeed.ENDLESS_KEEPALIVE in self.misdeeds:
            while not self.released.wait(0.02):
                if on_keepalive is not None:
                    on_keepalive(STATUS.UPNEEDED)
        if Misdeed.ANSWERS_AFTER_CANCEL in self.misdeeds and cancel is not None:
            if on_keepalive is not None:
                on_keepalive(STATUS.UPNEEDED)
            cancel.wait()
            cancel = Event()
        if Misdeed.OTHER_SECRET in self.misdeeds:
            self._change_secrets()
        answer = super().call(request, cancel, on_keepalive)
        return answer if answer[0] else self._spoil(request, answer)

    def _change_secrets(self) -> None:
        known = self.core.state.credentials
        for key, entry in known.items():
            known[key] = replace(entry, secret_with_uv=b"\1" * 32, secret_without_uv=b"\2" * 32)

    def _spoil(self, request: bytes, answer: bytes) -> bytes:
        value: Any = cbor.decode(answer[1:])
        params: Any = cbor.decode(request[1:])
        assertion = request[0] == CMD.GET_ASSERTION
        data = self._spoil_data(AuthenticatorData(value[2]))
        if data != value[2]:
            hash_ = params[2 if assertion else 1]
            signature = self._sign(value[1]["id"] if assertion else _made(value[2]), data + hash_)
            value[2] = data
            value[3] = signature if assertion else {**value[3], "sig": signature}
        if Misdeed.WRONG_SIGNATURE in self.misdeeds:
            other = ec.generate_private_key(ec.SECP256R1()).sign(b"other", ec.ECDSA(hashes.SHA256()))
            value[3] = other if assertion else {**value[3], "sig": other}
        if Misdeed.OTHER_CREDENTIAL in self.misdeeds and assertion:
            value[1] = {**value[1], "id": b"\7" * 32}
        if Misdeed.OVERSIZED in self.misdeeds:
            value[0x40] = b"\0" * OVERSIZED_BYTES
        spoilt = answer[:1] + cbor.encode(value)
        if Misdeed.NESTED_CBOR in self.misdeeds:
            return answer[:1] + b"\x81" * NESTED_LEVELS + b"\x00"
        return spoilt[: len(spoilt) // 2] if Misdeed.TRUNCATED in self.misdeeds else spoilt

    def _spoil_data(self, data: AuthenticatorData) -> bytes:
        flags, extensions = FLAG(data.flags), data.extensions
        if Misdeed.UP_CLEAR in self.misdeeds:
            flags &= ~FLAG.UP
        if Misdeed.UV_CLEAR in self.misdeeds:
            flags &= ~FLAG.UV
        if Misdeed.UV_SET in self.misdeeds:
            flags |= FLAG.UV
        if extensions is not None and isinstance(extensions.get("hmac-secret"), bytes):
            if Misdeed.SHORT_SECRET in self.misdeeds:
                extensions = {**extensions, "hmac-secret": extensions["hmac-secret"][:-32]}
            if Misdeed.NO_SECRET in self.misdeeds:
                extensions, flags = None, flags & ~FLAG.ED
        return bytes(
            AuthenticatorData.create(
                b"\0" * 32 if Misdeed.WRONG_RP in self.misdeeds else data.rp_id_hash,
                flags,
                0 if Misdeed.COUNTER_BACK in self.misdeeds else data.counter,
                data.credential_data or b"",
                extensions,
            )
        )

    def _sign(self, credential_id: bytes, message: bytes) -> bytes:
        scalar = int.from_bytes(self.core.state.credentials[credential_id].private_key)
        return ec.derive_private_key(scalar, ec.SECP256R1()).sign(message, ec.ECDSA(hashes.SHA256()))


def _made(data: bytes) -> bytes:
    attested = AuthenticatorData(data).credential_data
    assert attested is not None
    return attested.credential_id
