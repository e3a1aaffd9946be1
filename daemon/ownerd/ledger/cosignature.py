r"""C2SP tlog-cosignature: another device's timestamped Ed25519 signature over a checkpoint (cosignature/v1).

What is signed is ``cosignature/v1 \n time N \n`` and the note's text, N being seconds since the epoch in decimal. The
signature line is one of the signed note: base64(key id ‖ N as 8 bytes, big-endian ‖ 64 bytes of signature). The key id is
the first four bytes of ``SHA-256(name ‖ 0x0A ‖ 0x04 ‖ public key)``; a verifier key is ``name+hex(key id)+base64(0x04 ‖
public key)``. Specification: https://c2sp.org/tlog-cosignature.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ownerd.ledger.note import (
    NoteSignature,
    SignedNote,
    VerifierKey,
    format_note,
    format_verifier_key,
    key_id,
    parse_checkpoint,
    parse_note,
    parse_verifier_key,
    require_name,
)
from ownerd.model.errors import BadSignature, Malformed

MAX_TIME: Final = (1 << 63) - 1

_TYPE: Final = b"\x04"
_TIME_BYTES: Final = 8
_SIGNATURE_BYTES: Final = 64


class WitnessKey(VerifierKey, frozen=True):
    """The verifier key of a cosigner. A type of its own: a log's key never serves as one, nor the other way round."""


def witness_key(name: str, public: Ed25519PublicKey) -> WitnessKey:
    """Name a cosigner's public key. Raises `Malformed` for a name that no note may have."""
    return WitnessKey(require_name(name), key_id(name, public, _TYPE), public)


def format_witness_key(key: WitnessKey) -> str:
    """Write a cosigner's verifier key (``vkey``)."""
    return format_verifier_key(key.name, key.public, _TYPE)


def parse_witness_key(text: str) -> WitnessKey:
    """Read a cosigner's verifier key. Raises `Malformed` unless `format_witness_key` would write exactly this."""
    found = parse_verifier_key(text, _TYPE)
    return WitnessKey(found.name, found.key_id, found.public)


def cosign(note: bytes, name: str, key: Ed25519PrivateKey, time: int) -> bytes:
    """Return ``note``, a signed checkpoint, with a cosignature of ``time`` (Unix seconds) as its last line.

    An older one by the same key is replaced. Raises `Malformed`.
    """
    parsed = parse_note(note)
    parse_checkpoint(parsed.text)
    ours = witness_key(name, key.public_key())
    signature = key.sign(_message(parsed.text, time))
    line = NoteSignature(ours.name, ours.key_id, time.to_bytes(_TIME_BYTES) + signature)
    others = [one for one in parsed.signatures if (one.name, one.key_id) != (ours.name, ours.key_id)]
    return format_note(SignedNote(parsed.text, (*others, line)))


def verify_cosignature(note: bytes, key: WitnessKey) -> int:
    """Return the time (Unix seconds) at which ``key`` cosigned ``note``.

    Raises `Malformed`; `BadSignature` when no line is of this key, several are, or it does not hold.
    """
    parsed = parse_note(note)
    parse_checkpoint(parsed.text)
    lines = [one for one in parsed.signatures if (one.name, one.key_id) == (key.name, key.key_id)]
    if len(lines) != 1:
        raise BadSignature("note is not cosigned by this key, or more than once")
    blob = lines[0].signature
    if len(blob) != _TIME_BYTES + _SIGNATURE_BYTES:
        raise Malformed("a cosignature has a time and 64 bytes")
    time = int.from_bytes(blob[:_TIME_BYTES])
    try:
        key.public.verify(blob[_TIME_BYTES:], _message(parsed.text, time))
    except InvalidSignature as error:
        raise BadSignature("cosignature does not hold") from error
    return time


def _message(text: bytes, time: int) -> bytes:
    if not 0 <= time <= MAX_TIME:
        raise Malformed("time of a cosignature is out of range")
    return b"cosignature/v1\ntime %d\n" % time + text
