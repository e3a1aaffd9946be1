"""CTAP2 on python-fido2 without what it computes again and again: milliseconds between a touch and its answer.

Its mapping classes look up their own type hints at every construction, 2 ms for a getInfo. So an unchanged getInfo is
parsed once, and the two answers that each touch has are taken apart here (CTAP 2.1: getAssertion 6.2, hmac-secret 12.5).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fido2 import cbor
from fido2.cose import CoseKey
from fido2.ctap import CtapError
from fido2.ctap2.base import Ctap2, Info
from fido2.ctap2.extensions import HmacSecretExtension
from fido2.ctap2.pin import ClientPin
from fido2.hid import CTAPHID
from fido2.webauthn import AuthenticatorData
from msgspec import Struct

_MAX_INFOS: Final = 8
_SALT_BYTES: Final = 32


@functools.lru_cache(_MAX_INFOS)
def _parse_info(encoded: bytes) -> Info:
    answer: Any = cbor.decode(encoded)
    if cbor.encode(answer) != encoded:
        raise ValueError("not canonical")
    info: Info = Info.from_dict(answer)
    return info


class Ctap(Ctap2):
    """A `Ctap2` whose getInfo is asked each time and parsed when it is another one. Only read its ``info``."""

    def get_info(self) -> Info:
        """Ask authenticatorGetInfo (6.4)."""
        answer = self.device.call(CTAPHID.CBOR, bytes([Ctap2.CMD.GET_INFO]))
        if answer[0] != CtapError.ERR.SUCCESS:
            raise CtapError(answer[0])
        return _parse_info(bytes(answer[1:]))


class Assertion(Struct, frozen=True):
    """An answer to getAssertion, taken apart and not yet verified."""

    credential: Mapping[str, Any]
    auth_data: AuthenticatorData
    signature: bytes


def parse_assertion(answer: Mapping[int, Any]) -> Assertion:
    """Take an answer apart. Raises `KeyError`, `TypeError`, `ValueError` for another shape."""
    credential, auth_data, signature = answer[1], answer[2], answer[3]
    if (
        not isinstance(credential, Mapping)
        or not isinstance(auth_data, bytes)
        or not isinstance(signature, bytes)
    ):
        raise TypeError("an assertion has other parts")
    return Assertion(credential, AuthenticatorData(auth_data), signature)


class HmacSecret:
    """One agreement on the key that salts and secrets travel under."""

    def __init__(self, ctap: Ctap2) -> None:
        self._protocol = ClientPin(ctap).protocol
        answer = ctap.client_pin(self._protocol.VERSION, ClientPin.CMD.GET_KEY_AGREEMENT)
        peer = CoseKey(answer[ClientPin.RESULT.KEY_AGREEMENT])
        self._key_agreement, self._shared = self._protocol.encapsulate(peer)

    def format_salts(self, salts: Sequence[bytes]) -> dict[str, Any]:
        """One or two salts as the extension's input."""
        encrypted = self._protocol.encrypt(self._shared, b"".join(salts))
        proof = self._protocol.authenticate(self._shared, encrypted)
        parts = {1: self._key_agreement, 2: encrypted, 3: proof, 4: self._protocol.VERSION}
        return {HmacSecretExtension.NAME: parts}

    def parse_secrets(self, output: bytes) -> list[bytes]:
        """The secrets of 32 bytes in the extension's output, whose length was verified."""
        opened = self._protocol.decrypt(self._shared, output)
        return [opened[start : start + _SALT_BYTES] for start in range(0, len(opened), _SALT_BYTES)]
