"""The hmac-secret extension (CTAP 2.1 section 12.5): one or two salts in, one or two secrets out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fido2.ctap import CtapError
from fido2.ctap2.pin import PinProtocolV2
from fido2.utils import hmac_sha256

from ownerd.softtoken.client_pin import AuthenticatorProtocol
from ownerd.softtoken.parameters import ERR, optional, required

SALT_BYTES: Final = 32


class SaltInput:
    """The checked extension input of getAssertion."""

    def __init__(self, protocol: AuthenticatorProtocol, params: Mapping[Any, Any]) -> None:
        """Open and check ``params``: 1 key agreement, 2 encrypted salts, 3 MAC, 4 protocol.

        Raises `CtapError` PIN_AUTH_INVALID for a wrong MAC, INVALID_LENGTH for anything but one or two salts.
        """
        if (optional(params, 4, int) or 1) != PinProtocolV2.VERSION:
            raise CtapError(ERR.INVALID_PARAMETER)
        self._protocol = protocol
        self._shared = protocol.decapsulate(required(params, 1, dict))
        encrypted = required(params, 2, bytes)
        protocol.require_mac(self._shared, encrypted, required(params, 3, bytes))
        salts = protocol.open(self._shared, encrypted)
        if len(salts) not in {SALT_BYTES, 2 * SALT_BYTES}:
            raise CtapError(ERR.INVALID_LENGTH)
        self._salts = [salts[at : at + SALT_BYTES] for at in range(0, len(salts), SALT_BYTES)]

    def output(self, credential_secret: bytes) -> bytes:
        """Encrypted HMAC-SHA-256 of each salt under ``credential_secret`` (32 bytes)."""
        secrets = b"".join(hmac_sha256(credential_secret, salt) for salt in self._salts)
        return self._protocol.seal(self._shared, secrets)
