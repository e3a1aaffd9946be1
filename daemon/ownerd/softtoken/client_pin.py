"""authenticatorClientPIN with PIN/UV auth protocol two (CTAP 2.1 sections 6.5 and 6.5.7).

Owns the PIN, its tries and the pinUvAuthToken. A try is counted, and written, before the PIN is compared, so
that pulling the plug gives none back.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from cryptography.hazmat.primitives import constant_time
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256, CoseKey
from fido2.ctap import CtapError
from fido2.ctap2.pin import ClientPin, PinProtocol, PinProtocolV2
from fido2.utils import sha256
from msgspec import Struct

from ownerd.softtoken.parameters import ERR, optional, required
from ownerd.softtoken.state import PIN_TRIES, TokenState

CMD = ClientPin.CMD
PERMISSION = ClientPin.PERMISSION
SUPPORTED_PERMISSIONS: Final = (
    PERMISSION.MAKE_CREDENTIAL | PERMISSION.GET_ASSERTION | PERMISSION.LARGE_BLOB_WRITE
)
MISMATCHES_PER_POWER_CYCLE: Final = 3
# CTAP 2.1 section 6.5.2.1, for authenticators on USB: unused that long, or that old at all, a token is void.
UNUSED_SECONDS: Final = 30.0
MAX_AGE_SECONDS: Final = 600.0
PIN_MIN_CHARACTERS: Final = 4
PIN_MAX_BYTES: Final = 63


def public_cose_key(private_key: ec.EllipticCurvePrivateKey) -> CoseKey:
    """Public half as a COSE ES256 key."""
    return CoseKey.for_alg(ES256.ALGORITHM).from_cryptography_key(private_key.public_key())


class AuthenticatorProtocol:
    """The authenticator's side of protocol two: its key agreement key, decapsulation and checks."""

    def __init__(self) -> None:
        self._protocol: PinProtocol = PinProtocolV2()
        self.regenerate()

    def regenerate(self) -> None:
        """New key agreement key (6.5.5.1 regenerate)."""
        self._private_key = ec.generate_private_key(ec.SECP256R1())

    def public_key(self) -> dict[int, Any]:
        """COSE key to hand out; its alg is -25 by the spec."""
        return {**public_cose_key(self._private_key), 3: -25}

    def decapsulate(self, peer: Mapping[Any, Any]) -> bytes:
        """Shared secret (64 bytes) with the platform's COSE key. Raises `CtapError` INVALID_PARAMETER."""
        if (peer.get(1), peer.get(-1)) != (2, 1):
            raise CtapError(ERR.INVALID_PARAMETER)
        x, y = required(peer, -2, bytes), required(peer, -3, bytes)
        try:
            numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), ec.SECP256R1())
            point = numbers.public_key()  # refuses points that are not on the curve
        except ValueError as error:
            raise CtapError(ERR.INVALID_PARAMETER) from error
        shared = self._private_key.exchange(ec.ECDH(), point)
        secret: bytes = PinProtocolV2().kdf(shared)  # type: ignore[no-untyped-call]  # fido2 leaves it untyped
        return secret

    def require_mac(self, key: bytes, message: bytes, mac: bytes) -> None:
        """Compare in constant time. Raises `CtapError` PIN_AUTH_INVALID."""
        if not constant_time.bytes_eq(self._protocol.authenticate(key, message), mac):
            raise CtapError(ERR.PIN_AUTH_INVALID)

    def open(self, key: bytes, ciphertext: bytes) -> bytes:
        """Decrypt. Raises `CtapError` INVALID_PARAMETER for a length that no platform sends."""
        if len(ciphertext) < 32 or len(ciphertext) % 16:
            raise CtapError(ERR.INVALID_PARAMETER)
        return self._protocol.decrypt(key, ciphertext)

    def seal(self, key: bytes, plaintext: bytes) -> bytes:
        """Encrypt for the platform."""
        return self._protocol.encrypt(key, plaintext)


class _Token(Struct):
    """The pinUvAuthToken in use (6.5.2.1). ``rp_id`` is bound at first use when the platform gave none."""

    value: bytes
    permissions: int
    rp_id: str | None
    issued: float
    used: bool = False


class PinAuthority:
    """PIN, tries and token of one authenticator; one instance is one power cycle."""

    def __init__(
        self, state: TokenState, save: Callable[[], None], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._state = state
        self._save = save
        self._monotonic = monotonic
        self._mismatches = 0
        self._token: _Token | None = None
        self.protocol = AuthenticatorProtocol()

    @property
    def is_set(self) -> bool:
        """Whether there is a PIN."""
        return bool(self._state.pin_hash)

    def forget(self) -> None:
        """Void token and key agreement key (after a reset)."""
        self._token = None
        self._mismatches = 0
        self.protocol.regenerate()

    # -- the command --

    def command(self, params: Mapping[int, Any]) -> dict[int, Any]:
        """Answer authenticatorClientPIN (6.5.5)."""
        sub_command = required(params, 2, int)
        if sub_command == CMD.GET_PIN_RETRIES:
            blocked = self._mismatches >= MISMATCHES_PER_POWER_CYCLE
            return {3: self._state.pin_tries, 4: blocked}
        if sub_command not in {
            CMD.GET_KEY_AGREEMENT,
            CMD.SET_PIN,
            CMD.CHANGE_PIN,
            CMD.GET_TOKEN_USING_PIN_LEGACY,
            CMD.GET_TOKEN_USING_PIN,
        }:
            raise CtapError(ERR.INVALID_SUBCOMMAND)
        if required(params, 1, int) != PinProtocolV2.VERSION:
            raise CtapError(ERR.INVALID_PARAMETER)
        if sub_command == CMD.GET_KEY_AGREEMENT:
            return {1: self.protocol.public_key()}
        peer = required(params, 3, dict)
        if sub_command == CMD.SET_PIN:
            return self._set_pin(params, peer)
        if sub_command == CMD.CHANGE_PIN:
            return self._change_pin(params, peer)
        return self._issue_token(params, peer, legacy=sub_command == CMD.GET_TOKEN_USING_PIN_LEGACY)

    def _set_pin(self, params: Mapping[int, Any], peer: Mapping[Any, Any]) -> dict[int, Any]:
        mac, new_pin = required(params, 4, bytes), required(params, 5, bytes)
        if self.is_set:
            raise CtapError(ERR.PIN_AUTH_INVALID)
        secret = self.protocol.decapsulate(peer)
        self.protocol.require_mac(secret, new_pin, mac)
        self._store_pin(self.protocol.open(secret, new_pin))
        return {}

    def _change_pin(self, params: Mapping[int, Any], peer: Mapping[Any, Any]) -> dict[int, Any]:
        mac, new_pin = required(params, 4, bytes), required(params, 5, bytes)
        pin_hash = required(params, 6, bytes)
        self._require_tries()
        secret = self.protocol.decapsulate(peer)
        self.protocol.require_mac(secret, new_pin + pin_hash, mac)
        self._try_pin(secret, pin_hash)
        self._store_pin(self.protocol.open(secret, new_pin))
        return {}

    def _issue_token(
        self, params: Mapping[int, Any], peer: Mapping[Any, Any], *, legacy: bool
    ) -> dict[int, Any]:
        pin_hash = required(params, 6, bytes)
        permissions, rp_id = optional(params, 9, int), optional(params, 10, str)
        if legacy:
            if permissions is not None or rp_id is not None:
                raise CtapError(ERR.INVALID_PARAMETER)
            permissions = PERMISSION.MAKE_CREDENTIAL | PERMISSION.GET_ASSERTION
        elif permissions is None:
            raise CtapError(ERR.MISSING_PARAMETER)
        elif permissions <= 0:
            raise CtapError(ERR.INVALID_PARAMETER)
        elif permissions & ~SUPPORTED_PERMISSIONS:
            raise CtapError(ERR.UNAUTHORIZED_PERMISSION)
        elif permissions & (PERMISSION.MAKE_CREDENTIAL | PERMISSION.GET_ASSERTION) and rp_id is None:
            raise CtapError(ERR.MISSING_PARAMETER)
        self._require_tries()
        secret = self.protocol.decapsulate(peer)
        self._try_pin(secret, pin_hash)
        self._token = _Token(os.urandom(32), int(permissions), rp_id, self._monotonic())
        return {2: self.protocol.seal(secret, self._token.value)}

    # -- the PIN --

    def _require_tries(self) -> None:
        if not self.is_set:
            raise CtapError(ERR.PIN_NOT_SET)
        if self._state.pin_tries == 0:
            raise CtapError(ERR.PIN_BLOCKED)
        if self._mismatches >= MISMATCHES_PER_POWER_CYCLE:
            raise CtapError(ERR.PIN_AUTH_BLOCKED)

    def _try_pin(self, secret: bytes, pin_hash: bytes) -> None:
        given = self.protocol.open(secret, pin_hash)
        self._state.pin_tries -= 1
        self._save()
        if not constant_time.bytes_eq(given, self._state.pin_hash):
            self._mismatches += 1
            self.protocol.regenerate()
            if self._state.pin_tries == 0:
                raise CtapError(ERR.PIN_BLOCKED)
            if self._mismatches >= MISMATCHES_PER_POWER_CYCLE:
                raise CtapError(ERR.PIN_AUTH_BLOCKED)
            raise CtapError(ERR.PIN_INVALID)
        self._mismatches = 0
        self._state.pin_tries = PIN_TRIES
        self._save()

    def _store_pin(self, padded: bytes) -> None:
        if len(padded) != PIN_MAX_BYTES + 1:
            raise CtapError(ERR.INVALID_PARAMETER)
        self.set_pin(padded.rstrip(b"\0"))

    def set_pin(self, pin: bytes) -> None:
        """Set the PIN (UTF-8). Raises `CtapError` PIN_POLICY_VIOLATION for one too short or too long."""
        try:
            characters = len(pin.decode())
        except UnicodeDecodeError as error:
            raise CtapError(ERR.PIN_POLICY_VIOLATION) from error
        if characters < PIN_MIN_CHARACTERS or len(pin) > PIN_MAX_BYTES:
            raise CtapError(ERR.PIN_POLICY_VIOLATION)
        self._state.pin_hash = sha256(pin)[:16]
        self._state.pin_tries = PIN_TRIES
        self._mismatches = 0
        self._token = None
        self._save()

    # -- the token --

    def verify_token(
        self, version: int | None, mac: bytes, message: bytes, permission: int, rp_id: str | None
    ) -> None:
        """Verify a pinUvAuthParam for one use (6.1.2 step 11, 6.2.2 step 6, 6.10.2).

        Raises `CtapError` MISSING_PARAMETER, INVALID_PARAMETER or PIN_AUTH_INVALID.
        """
        if version is None:
            raise CtapError(ERR.MISSING_PARAMETER)
        if version != PinProtocolV2.VERSION:
            raise CtapError(ERR.INVALID_PARAMETER)
        token = self._token
        if token is None:
            raise CtapError(ERR.PIN_AUTH_INVALID)
        age = self._monotonic() - token.issued
        if age > (MAX_AGE_SECONDS if token.used else UNUSED_SECONDS):
            self._token = None
            raise CtapError(ERR.PIN_AUTH_INVALID)
        self.protocol.require_mac(token.value, message, mac)
        if not token.permissions & permission:
            raise CtapError(ERR.PIN_AUTH_INVALID)
        if rp_id is not None:
            if token.rp_id is None:
                token.rp_id = rp_id
            if token.rp_id != rp_id:
                raise CtapError(ERR.PIN_AUTH_INVALID)
        token.used = True

    def spend(self) -> None:
        """After a touch: only large-blob writing stays allowed (clearPinUvAuthTokenPermissionsExceptLbw)."""
        if self._token is not None:
            self._token.permissions &= PERMISSION.LARGE_BLOB_WRITE
