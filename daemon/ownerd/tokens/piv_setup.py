"""New keys on a PIV card (SP 800-73-4 part 2, sections 3.2.4 and 3.3.2). Blocks; runs on the worker thread.

The management key (slot 9B) is authenticated mutually where the card can, so that the card proves that it knows the
key too; else singly. Which cipher it is for, the card says: the key is never sent.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from ownerd.model.errors import InvalidArgument, ManagementKeyWrong, ProtocolBroken
from ownerd.model.secret import Secret
from ownerd.model.token import CurveName
from ownerd.tokens.piv_card import AGREE, CERTIFICATES, CHUID, OK, SIGN, PivCard
from ownerd.tokens.piv_keys import CURVES, Curve, PublicKeys, parse_point
from ownerd.tokens.piv_tlv import format_tlv, parse_only, parse_tlv

_MANAGEMENT: Final = 0x9B
# Algorithm identifiers by key size (SP 800-78-4, table 6-2); 24 bytes may be either.
_CIPHERS: Final = {16: (0x08,), 24: (0x0A, 0x03), 32: (0x0C,)}
_TRIPLE_DES: Final = 0x03
_WITNESS, _CHALLENGE, _RESPONSE = 0x80, 0x81, 0x82
# A non-federal FASC-N (SP 800-73-4 part 1, section 3.1.2), as cards of private issuers carry it.
_FASC_N: Final = bytes.fromhex("d4e739da739ced39ce739d836858210842108421c84210c3eb")


def generate(card: PivCard, management_key: Secret, algorithm: CurveName) -> tuple[bytes, PublicKeys]:
    """Make new keys in 9C and 9D and take away the certificates of old ones; (CHUID digest, public keys).

    A card without CHUID gets one with a random GUID: without a certificate it is what finds the card again.
    Raises `ManagementKeyWrong` before anything is changed.
    """
    curve = next((one for one in CURVES if one.name == algorithm), None)
    if curve is None:
        raise InvalidArgument("keys are made on P-256 or P-384")
    authenticate(card, management_key)
    chuid = card.read(CHUID)
    if not chuid:
        chuid = _new_chuid()
        put_data(card, CHUID, chuid)
    made = {slot: _generate_one(card, slot, curve) for slot in (SIGN, AGREE)}
    return hashlib.sha256(chuid).digest(), PublicKeys(made[SIGN], made[AGREE])


def authenticate(card: PivCard, management_key: Secret) -> None:
    """Prove the management key to the card. Raises `ManagementKeyWrong` when it is not the card's."""
    key = management_key.reveal()
    if len(key) not in _CIPHERS:
        raise ManagementKeyWrong("a management key has 16, 24 or 32 bytes")
    for identifier in _CIPHERS[len(key)]:
        cipher = Cipher(TripleDES(key) if identifier == _TRIPLE_DES else AES(key), modes.ECB())  # noqa: S305 - single blocks, as the standard has it
        if _mutual(card, identifier, cipher) or _single(card, identifier, cipher):
            return
    raise ManagementKeyWrong("the card has no management key of this size")


def _mutual(card: PivCard, identifier: int, cipher: Cipher[modes.ECB]) -> bool:
    answer, status = card.authenticate(identifier, _MANAGEMENT, format_tlv(_WITNESS))
    if status != OK:
        return False
    witness = _block(parse_only(parse_only(answer, 0x7C), _WITNESS), cipher)
    challenge = os.urandom(len(witness))
    decryptor, encryptor = cipher.decryptor(), cipher.encryptor()
    template = format_tlv(_WITNESS, decryptor.update(witness)) + format_tlv(_CHALLENGE, challenge)
    answer, status = card.authenticate(identifier, _MANAGEMENT, template)
    if status != OK:
        raise ManagementKeyWrong("the management key is wrong; nothing on the card was changed")
    response = parse_only(parse_only(answer, 0x7C), _RESPONSE)
    if not hmac.compare_digest(response, encryptor.update(challenge)):
        raise ProtocolBroken("the card does not know its own management key")
    return True


def _single(card: PivCard, identifier: int, cipher: Cipher[modes.ECB]) -> bool:
    answer, status = card.authenticate(identifier, _MANAGEMENT, format_tlv(_CHALLENGE))
    if status != OK:
        return False
    challenge = _block(parse_only(parse_only(answer, 0x7C), _CHALLENGE), cipher)
    template = format_tlv(_RESPONSE, cipher.encryptor().update(challenge))
    if card.authenticate(identifier, _MANAGEMENT, template)[1] != OK:
        raise ManagementKeyWrong("the management key is wrong; nothing on the card was changed")
    return True


def _block(value: bytes, cipher: Cipher[modes.ECB]) -> bytes:
    if len(value) * 8 != getattr(cipher.algorithm, "block_size", 0):
        raise ProtocolBroken("the card's challenge has the wrong length")
    return value


def _generate_one(card: PivCard, slot: int, curve: Curve) -> ec.EllipticCurvePublicKey:
    answer = card.command(0x47, 0x00, slot, format_tlv(0xAC, format_tlv(0x80, bytes([curve.piv]))))
    # Only now: a card that refuses to make the key has lost nothing.
    if card.read(CERTIFICATES[slot]):
        put_data(card, CERTIFICATES[slot], b"")
    point = parse_tlv(parse_only(answer, 0x7F49)).get(0x86, b"")
    try:
        return parse_point(curve, point)
    except ValueError as error:
        raise ProtocolBroken("the card's new key is not a point of its curve") from error


def put_data(card: PivCard, tag: int, content: bytes) -> None:
    """PUT DATA; an object is taken away by empty content (SP 800-73-4 part 2, section 3.3.2)."""
    card.command(0xDB, 0x3F, 0xFF, format_tlv(0x5C, tag.to_bytes(3, "big")) + format_tlv(0x53, content))


def _new_chuid() -> bytes:
    return (
        format_tlv(0x30, _FASC_N)
        + format_tlv(0x34, os.urandom(16))
        + format_tlv(0x35, b"20991231")
        + format_tlv(0x3E)
        + format_tlv(0xFE)
    )
