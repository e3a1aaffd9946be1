"""Certificates that fuzzing found: well-formed DER that `cryptography` refuses with an error of its own."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from pkcs11.constants import Attribute
from tests.rigs._piv_applet import CERTIFICATE_9C, PivApplet, certificate, tlv

from ownerd.model.errors import ProtocolBroken, Unsupported
from ownerd.tokens.piv_card import SIGN, PivCard
from ownerd.tokens.pkcs11_keys import _read_certificate

KEY = ec.generate_private_key(ec.SECP256R1())
GOOD = certificate(KEY)
P256 = bytes.fromhex("2a8648ce3d030107")
VERSION = bytes.fromhex("a003020102")


def odd(what: str) -> bytes:
    old, new = {"version 6": (VERSION, VERSION[:4] + b"\x05"), "curve": (P256, P256[:-1] + b"\x63")}[what]
    assert old in GOOD
    return GOOD.replace(old, new)


class Wire:
    is_t0 = False

    def __init__(self, der: bytes) -> None:
        self._applet = PivApplet(signing=KEY)
        self._applet.objects[CERTIFICATE_9C] = tlv(0x70, der)
        self._applet.power_on()

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        answer = self._applet.transmit(apdu)
        return answer[:-2], int.from_bytes(answer[-2:], "big")


@pytest.mark.parametrize(("what", "error"), [("version 6", ProtocolBroken), ("curve", Unsupported)])
def test_a_card_with_an_odd_certificate_is_refused_by_name(what: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        PivCard(Wire(odd(what))).certified_key(SIGN)


@pytest.mark.parametrize("what", ["version 6", "curve"])
def test_an_odd_certificate_behind_a_module_is_one_that_is_passed_over(what: str) -> None:
    item: Any = {Attribute.VALUE: odd(what)}
    with pytest.raises(ValueError, match="we can read"):
        _read_certificate(item)


def test_they_are_odd_to_the_library() -> None:
    with pytest.raises(x509.InvalidVersion):
        x509.load_der_x509_certificate(odd("version 6"))
