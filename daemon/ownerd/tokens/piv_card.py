"""The PIV card application as commands (SP 800-73-4 part 2). Blocks; runs on the card's worker thread.

Standard commands only, short APDUs with Le, command chaining (CLA bit 0x10) and GET RESPONSE, both bounded.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import Any, Final, Protocol

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from msgspec import Struct

from ownerd.model.errors import (
    OwnerdError,
    PinBlocked,
    PinUnfit,
    PinWrong,
    ProtocolBroken,
    TokenMissing,
    Unsupported,
)
from ownerd.model.secret import Secret
from ownerd.tokens.piv_tlv import format_tlv, parse_only, parse_tlv

AID: Final = bytes.fromhex("A000000308000010000100")
SIGN: Final = 0x9C
AGREE: Final = 0x9D
CERTIFICATES: Final = {SIGN: 0x5FC10A, AGREE: 0x5FC10B}
CHUID: Final = 0x5FC102
DISCOVERY: Final = 0x7E

MAX_ANSWER_BYTES: Final = 16384
MAX_GET_RESPONSES: Final = 128
MAX_CERTIFICATE_BYTES: Final = 16384
CHUNK_BYTES: Final = 255

OK: Final = 0x9000
SECURITY_STATUS: Final = 0x6982
BLOCKED: Final = 0x6983
NO_TRIES: Final = 0x63C0
NOT_FOUND: Final = frozenset({0x6A82, 0x6A88, 0x6A81})
_APPLICATION_PIN: Final = 0x80
_GLOBAL_PIN: Final = 0x00
_PIN_BYTES: Final = 8
_MIN_PIN_BYTES: Final = 6


class CardLink(Protocol):
    """What carries APDUs: `piv_link.Link`."""

    is_t0: bool

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        """Exchange one short APDU: (data, status word)."""


class Identity(Struct, frozen=True):
    """What a card shows of itself without a PIN: CHUID digest and the keys of its certificates.

    ``signing_key`` and ``agreement_key`` are None without a certificate, else any public key object.
    """

    chuid: bytes | None
    signing_key: Any
    agreement_key: Any


class PivCard:
    """The PIV application, selected on a link."""

    def __init__(self, link: CardLink) -> None:
        self._link = link
        self._pin_reference = _APPLICATION_PIN
        self.select()

    def select(self) -> None:
        """Select the application. Raises `TokenMissing` for a card without PIV."""
        data, status = self._exchange(0xA4, 0x04, 0x00, AID)
        if status != OK:
            raise TokenMissing("the card has no PIV application")
        parse_only(data, 0x61)

    # -- without a PIN --

    def identity(self) -> Identity:
        """Read CHUID and certificates."""
        chuid = self.read(CHUID)
        return Identity(
            None if chuid is None else hashlib.sha256(chuid).digest(),
            self.certified_key(SIGN),
            self.certified_key(AGREE),
        )

    def certified_key(self, slot: int) -> Any:
        """Public key of a slot's certificate, or None without one. Raises `ProtocolBroken`."""
        content = self.read(CERTIFICATES[slot])
        if not content:
            return None
        parts = parse_tlv(content)
        der = parts.get(0x70, b"")
        if not der:
            return None
        if parts.get(0x71, b"\x00")[:1] == b"\x01":  # CertInfo: compressed with gzip
            der = _inflate(der)
        try:
            return x509.load_der_x509_certificate(der).public_key()
        except UnsupportedAlgorithm as error:
            raise Unsupported("the card's key is of a kind that ownerd does not know") from error
        except (ValueError, TypeError, x509.InvalidVersion) as error:
            raise ProtocolBroken("the card's certificate is malformed") from error

    def read(self, tag: int) -> bytes | None:
        """GET DATA: the content of a data object, or None where the card has none."""
        name = tag.to_bytes(1 if tag == DISCOVERY else 3, "big")
        data, status = self._exchange(0xCB, 0x3F, 0xFF, format_tlv(0x5C, name))
        if status in NOT_FOUND:
            return None
        _require(status)
        return parse_only(data, DISCOVERY if tag == DISCOVERY else 0x53)

    def pin_tries(self) -> int | None:
        """PIN tries that are left, without using one; None while the PIN counts as verified.

        Raises `Unsupported` when the card does not say.
        """
        self._pin_reference = self._find_pin_reference()
        _, status = self._exchange(0x20, 0x00, self._pin_reference)
        if status == OK:
            return None
        if status == BLOCKED:
            return 0
        if status & 0xFFF0 == 0x63C0:
            return status & 0x0F
        raise Unsupported("the card does not say how many PIN tries are left")

    def _find_pin_reference(self) -> int:
        # SP 800-73-4 part 1, section 3.3.2: the discovery object says whether the global PIN is the primary one.
        content = self.read(DISCOVERY)
        policy = parse_tlv(content).get(0x5F2F, b"") if content else b""
        is_global = len(policy) == 2 and policy[0] & 0x20 and policy[1] == 0x20
        return _GLOBAL_PIN if is_global else _APPLICATION_PIN

    # -- with the PIN --

    def verify_pin(self, padded: Secret) -> None:
        """VERIFY. Costs a try when wrong. Raises `PinWrong`, `PinBlocked`, `ProtocolBroken`."""
        _, status = self._exchange(0x20, 0x00, self._pin_reference, padded.reveal())
        _require_pin_accepted(status, PinWrong())  # no card has such a PIN; no try was used

    def change_pin(self, old: Secret, new: Secret) -> None:
        """CHANGE REFERENCE DATA. Costs a try when ``old`` is wrong. Raises as `verify_pin`, and `PinUnfit`."""
        _, status = self._exchange(0x24, 0x00, self._pin_reference, old.reveal() + new.reveal())
        _require_pin_accepted(status, PinUnfit("the card does not take this new PIN"))

    def sign(self, algorithm: int, data: bytes) -> bytes:
        """Sign a digest or padded block with 9C. Raises `PermissionError` when the card wants its PIN again."""
        return self._operate(algorithm, SIGN, 0x81, data)

    def agree(self, algorithm: int, point: bytes) -> bytes:
        """ECDH of 9D with ``point``: the x coordinate. Raises `PermissionError` as `sign` does."""
        return self._operate(algorithm, AGREE, 0x85, point)

    def _operate(self, algorithm: int, slot: int, tag: int, data: bytes) -> bytes:
        answer, status = self.authenticate(algorithm, slot, format_tlv(0x82) + format_tlv(tag, data))
        if status == SECURITY_STATUS:
            raise PermissionError("PIN wanted")
        if status in {0x6A80, 0x6A86, *NOT_FOUND}:
            raise _no_key()
        _require(status)
        return parse_only(parse_only(answer, 0x7C), 0x82)

    def authenticate(self, algorithm: int, slot: int, template: bytes) -> tuple[bytes, int]:
        """GENERAL AUTHENTICATE with a dynamic authentication template: (data, status word)."""
        return self._exchange(0x87, algorithm, slot, format_tlv(0x7C, template))

    def command(self, ins: int, p1: int, p2: int, data: bytes) -> bytes:
        """Exchange any other command. Raises `ProtocolBroken` for any status but 9000."""
        answer, status = self._exchange(ins, p1, p2, data)
        _require(status)
        return answer

    # -- transport --

    def _exchange(self, ins: int, p1: int, p2: int, data: bytes = b"") -> tuple[bytes, int]:
        head = bytes([ins, p1, p2])
        while len(data) > CHUNK_BYTES:
            chunk, data = data[:CHUNK_BYTES], data[CHUNK_BYTES:]
            answer, status = self._link.transmit(b"\x10" + head + bytes([CHUNK_BYTES]) + chunk)
            if status != OK or answer:
                return b"", status if status != OK else 0x6F00
        body = bytes([len(data)]) + data if data else b""
        # Always Le: a case-1 APDU made one card loop. T=0 has no place for it behind data (ISO 7816-3, 12.2).
        expected = b"" if data and self._link.is_t0 else b"\x00"
        answer, status = self._link.transmit(b"\x00" + head + body + expected)
        if status >> 8 == 0x6C and not data:
            answer, status = self._link.transmit(b"\x00" + head + bytes([status & 0xFF]))
        return self._rest(answer, status)

    def _rest(self, answer: bytes, status: int) -> tuple[bytes, int]:
        rounds = 0
        while status >> 8 == 0x61:
            rounds += 1
            if rounds > MAX_GET_RESPONSES or len(answer) > MAX_ANSWER_BYTES:
                raise ProtocolBroken("the card's answer does not end")
            more, status = self._link.transmit(bytes([0x00, 0xC0, 0x00, 0x00, status & 0xFF]))
            answer += more
        return answer, status


def padded_new_pin(pin: Secret) -> Secret:
    """Pad a new PIN. Raises `PinUnfit`."""
    try:
        return padded_pin(pin, None)
    except PinWrong as error:
        raise PinUnfit("a PIV PIN has six to eight characters") from error


def padded_pin(pin: Secret, tries_left: int | None) -> Secret:
    """Pad a typed PIN to eight bytes. Raises `PinWrong` for what no PIV PIN can be, without asking the card."""
    value = pin.reveal()
    if not _MIN_PIN_BYTES <= len(value) <= _PIN_BYTES or b"\xff" in value:
        raise PinWrong("a PIV PIN has six to eight characters; no try was used", tries_left=tries_left)
    return Secret(value.ljust(_PIN_BYTES, b"\xff"))


def _no_key() -> OwnerdError:
    return Unsupported("the card has no such key")


def _require_pin_accepted(status: int, malformed: OwnerdError) -> None:
    if status in {BLOCKED, NO_TRIES}:
        raise PinBlocked("the card takes no more PINs")
    if status & 0xFFF0 == NO_TRIES:
        raise PinWrong(tries_left=status & 0x0F)
    if status == 0x6A80:
        raise malformed
    _require(status)


def _require(status: int) -> None:
    if status != OK:
        raise ProtocolBroken("the card reports an error that does not fit")


def _inflate(data: bytes) -> bytes:
    try:
        unpacker = zlib.decompressobj(wbits=47)  # gzip or zlib
        der = unpacker.decompress(data, MAX_CERTIFICATE_BYTES)
    except zlib.error as error:
        raise ProtocolBroken("the card's certificate is malformed") from error
    if not unpacker.eof:
        raise ProtocolBroken("the card's certificate is malformed")
    return der
