"""A PIV card in software, card side of SP 800-73-4 part 2: for tests only, its keys are ordinary process memory.

SELECT, GET DATA, PUT DATA, VERIFY, GENERAL AUTHENTICATE (9B, 9C, 9D), GENERATE ASYMMETRIC KEY PAIR, command chaining
and GET RESPONSE. 9C wants its VERIFY directly before; a reset forgets what was verified.
"""

from __future__ import annotations

import datetime as dt
import os
import threading
from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.rigs._ctap_nfc import Apdu, parse_apdu

AID = bytes.fromhex("A000000308000010000100")
OK, NO_CONDITION, NOT_FOUND, BAD_DATA, BAD_P1P2, NO_INS = 0x9000, 0x6982, 0x6A82, 0x6A80, 0x6A86, 0x6D00
CHUID, CERTIFICATE_9C, CERTIFICATE_9D, DISCOVERY = 0x5FC102, 0x5FC10A, 0x5FC10B, 0x7E
SIGN, AGREE, MANAGEMENT = 0x9C, 0x9D, 0x9B
CURVES: dict[int, Any] = {0x11: ec.SECP256R1(), 0x14: ec.SECP384R1()}
HASHES: dict[int, Any] = {32: hashes.SHA256(), 48: hashes.SHA384()}
PIN = b"246813"

Answer = tuple[bytes, int]


def tlv(tag: int, value: bytes = b"") -> bytes:
    size = len(value)
    length = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2)
    return tag.to_bytes((tag.bit_length() + 7) // 8) + length + value


def split(data: bytes) -> dict[int, bytes]:
    """One level of data objects with tags of one byte."""
    found = {}
    while data:
        size, at = data[1], 2
        if size & 0x80:
            at += size & 0x7F
            size = int.from_bytes(data[2:at])
        found[data[0]], data = data[at : at + size], data[at + size :]
    return found


def certificate(key: Any, *, signed_by: Any = None) -> bytes:
    """A certificate for the public half of ``key``, DER."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "card")])
    day = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, day, day.replace(year=2036))
    return builder.sign(signed_by or key, hashes.SHA256()).public_bytes(Encoding.DER)


class PivApplet:
    """One card. ``counter`` is how many PIN tries are left; ``log`` every command; ``intercept`` may answer first."""

    def __init__(self, *, signing: Any = None, agreement: Any = None, certificates: bool = True) -> None:
        self.keys: dict[int, Any] = {}
        self.objects: dict[int, bytes] = {
            CHUID: tlv(0x30, bytes(25)) + tlv(0x34, os.urandom(16)) + tlv(0x3E) + tlv(0xFE)
        }
        for slot, key, tag in ((SIGN, signing, CERTIFICATE_9C), (AGREE, agreement, CERTIFICATE_9D)):
            if key is not None:
                self.keys[slot] = key
                if certificates:
                    self.certify(tag, key, signed_by=signing)
        self.pin, self.max_tries, self.counter = PIN, 5, 5
        self.management: tuple[int, bytes] = (0x0A, bytes(range(24)))
        self.mutual = True
        self.fresh_pin_for_agreement = False
        self.log: list[Apdu] = []
        self.intercept: Callable[[Apdu], bytes | None] = lambda _: None
        self.resets = 0
        self.lock = threading.Lock()
        self.power_off()

    def certify(self, tag: int, key: Any, *, signed_by: Any = None) -> None:
        """Put a certificate for ``key`` on the card."""
        self.objects[tag] = tlv(0x70, certificate(key, signed_by=signed_by)) + tlv(0x71, b"\0") + tlv(0xFE)

    @property
    def names(self) -> list[str]:
        """What was asked, as instruction and P2."""
        return [f"{one.ins:02x}{one.p2:02x}" for one in self.log]

    def power_on(self) -> None:
        self.power_off()
        self.resets += 1

    def power_off(self) -> None:
        self.selected = self.verified = self.just_verified = self.managed = False
        self.waiting = self.chained = b""
        self.witness = b""

    # -- transport --

    def transmit(self, raw: bytes) -> bytes:
        apdu = parse_apdu(raw)
        self.log.append(apdu)
        override = self.intercept(apdu)
        if override is not None:
            return override
        if apdu.ins == 0xC0:
            return self._part()
        if apdu.cla & 0x10:
            self.chained += apdu.data
            return OK.to_bytes(2)
        data, self.chained = self.chained + apdu.data, b""
        answer, status = self.command(apdu, data)
        if apdu.ins not in {0x20, 0x24}:
            self.just_verified = False
        if status != OK:
            return status.to_bytes(2)
        self.waiting = answer
        return self._part()

    def _part(self) -> bytes:
        part, self.waiting = self.waiting[:256], self.waiting[256:]
        more = len(self.waiting)
        return part + (OK if not more else 0x6100 | (min(more, 256) & 0xFF)).to_bytes(2)

    # -- commands --

    def command(self, apdu: Apdu, data: bytes) -> Answer:
        if apdu.ins == 0xA4:
            self.selected = AID.startswith(data) and len(data) >= 9
            self.verified = self.verified and self.selected
            return (
                (tlv(0x61, tlv(0x4F, AID[5:]) + tlv(0x79, tlv(0x4F, AID[:5]))), OK)
                if self.selected
                else (b"", NOT_FOUND)
            )
        if not self.selected:
            return b"", NO_INS
        handlers = {
            0xCB: self._get,
            0xDB: self._put,
            0x20: self._verify,
            0x24: self._change,
            0x87: self._operate,
            0x47: self._generate,
        }
        handler = handlers.get(apdu.ins)
        return (b"", NO_INS) if handler is None else handler(apdu, data)

    def _get(self, apdu: Apdu, data: bytes) -> Answer:
        tag = int.from_bytes(split(data)[0x5C])
        if tag not in self.objects:
            return b"", NOT_FOUND
        return tlv(DISCOVERY if tag == DISCOVERY else 0x53, self.objects[tag]), OK

    def _put(self, apdu: Apdu, data: bytes) -> Answer:
        if not self.managed:
            return b"", NO_CONDITION
        parts = split(data)
        self.objects[int.from_bytes(parts[0x5C])] = parts[0x53]
        return b"", OK

    def _verify(self, apdu: Apdu, data: bytes) -> Answer:
        if apdu.p2 != 0x80:
            return b"", 0x6A88
        if not data:
            if self.verified:
                return b"", OK
            return b"", 0x63C0 | self.counter if self.counter else 0x6983
        if not self.counter:
            return b"", 0x6983
        if data != self.pin.ljust(8, b"\xff"):
            self.counter -= 1
            self.verified = False
            return b"", 0x63C0 | self.counter
        self.counter = self.max_tries
        self.verified = self.just_verified = True
        return b"", OK

    def _change(self, apdu: Apdu, data: bytes) -> Answer:
        if len(data) != 16:
            return b"", BAD_DATA
        status = self._verify(apdu, data[:8])[1]
        if status == OK:
            self.pin = data[8:].rstrip(b"\xff")
        return b"", status

    def _operate(self, apdu: Apdu, data: bytes) -> Answer:
        parts = split(split(data)[0x7C])
        if apdu.p2 == MANAGEMENT:
            return self._manage(apdu.p1, parts)
        key = self.keys.get(apdu.p2)
        if key is None:
            return b"", BAD_P1P2
        fresh = apdu.p2 == SIGN or self.fresh_pin_for_agreement
        if not (self.just_verified if fresh else self.verified):
            return b"", NO_CONDITION
        made = self.sign(key, parts[0x81]) if apdu.p2 == SIGN else self.agree(key, parts[0x85])
        return tlv(0x7C, tlv(0x82, made)), OK

    def sign(self, key: Any, block: bytes) -> bytes:
        if isinstance(key, rsa.RSAPrivateKey):
            numbers = key.private_numbers()
            value = pow(int.from_bytes(block), numbers.d, numbers.public_numbers.n)
            return value.to_bytes(256)
        return bytes(key.sign(block, ec.ECDSA(Prehashed(HASHES[len(block)]))))

    def agree(self, key: Any, point: bytes) -> bytes:
        other = ec.EllipticCurvePublicKey.from_encoded_point(key.curve, point)
        return bytes(key.exchange(ec.ECDH(), other))

    def _manage(self, algorithm: int, parts: dict[int, bytes]) -> Answer:
        wanted, secret = self.management
        if algorithm != wanted:
            return b"", BAD_P1P2
        cipher = Cipher(TripleDES(secret) if wanted == 0x03 else AES(secret), modes.ECB())
        size = 8 if wanted == 0x03 else 16
        if parts == {0x80: b""} and self.mutual:
            self.witness = os.urandom(size)
            return tlv(0x7C, tlv(0x80, cipher.encryptor().update(self.witness))), OK
        if parts == {0x81: b""}:
            self.witness = os.urandom(size)
            return tlv(0x7C, tlv(0x81, self.witness)), OK
        if 0x82 in parts and self.witness:
            self.managed = parts[0x82] == cipher.encryptor().update(self.witness)
            return b"", OK if self.managed else NO_CONDITION
        if 0x80 in parts and self.mutual and self.witness:
            self.managed = parts[0x80] == self.witness
            answer = tlv(0x7C, tlv(0x82, cipher.encryptor().update(parts[0x81])))
            return (answer, OK) if self.managed else (b"", NO_CONDITION)
        return b"", BAD_DATA

    def _generate(self, apdu: Apdu, data: bytes) -> Answer:
        if not self.managed:
            return b"", NO_CONDITION
        curve = CURVES.get(split(split(data)[0xAC])[0x80][0])
        if curve is None:
            return b"", BAD_DATA
        self.keys[apdu.p2] = key = ec.generate_private_key(curve)
        point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return tlv(0x7F49, tlv(0x86, point)), OK
