r"""C2SP signed notes, verifier keys and tlog checkpoints, strictly: every line is parsed, none skipped.

A checkpoint is a note whose text is ``origin \n size \n base64(root) \n``; the note adds a blank line and
one line for each signature::

    ownerd/0123456789abcdef0123456789abcdef
    2
    qINS1GRFhWHwdkUeqLEoP4yEMkTBBzxBkGwGQlVlVcs=

    — ownerd/0123456789abcdef0123456789abcdef rrAFowRPOkU8C0…

A signature line is U+2014, a space, the key's name, a space, base64(key id ‖ signature). The key id is the
first four bytes of ``SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key)``. A verifier key is
``name+hex(key id)+base64(0x01 ‖ public key)``. Base64 here is the standard alphabet with padding.

Specifications: https://c2sp.org/signed-note and https://c2sp.org/tlog-checkpoint. Nothing here trusts its
input; `open_note` alone says that a text is signed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from ownerd.ledger.merkle import HASH_BYTES
from ownerd.model.errors import BadSignature, Malformed

MAX_NOTE_BYTES: Final = 1 << 17
MAX_SIGNATURES: Final = 16  # as many as the specification wants to be accepted
MAX_SIZE: Final = (1 << 63) - 1
ED25519: Final = b"\x01"

_KEY_ID_BYTES: Final = 4
_DASH: Final = "\u2014 "
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_NAME = re.compile(r"[^\s+\x00-\x1f\ud800-\udfff]+")  # \s is every Unicode space; surrogates are no UTF-8
_KEY_ID = re.compile(r"[0-9a-f]{8}", re.ASCII)


class VerifierKey(Struct, frozen=True):
    """An Ed25519 verifier key: its name, its 4-byte key id and the public key."""

    name: str
    key_id: bytes
    public: Ed25519PublicKey


class NoteSignature(Struct, frozen=True):
    """One signature line: who claims to have signed (name, 4-byte key id) and the signature's bytes."""

    name: str
    key_id: bytes
    signature: bytes


class SignedNote(Struct, frozen=True):
    """A parsed note. The text ends with a newline; nothing is verified yet."""

    text: bytes
    signatures: tuple[NoteSignature, ...]


class Checkpoint(Struct, frozen=True):
    """What a checkpoint's text says: log origin, tree size, root hash (32 bytes)."""

    origin: str
    size: int
    root: bytes


def format_base64(data: bytes) -> str:
    """Write the standard alphabet with padding."""
    return base64.b64encode(data).decode("ascii")


def parse_base64(text: str) -> bytes:
    """Inverse of `format_base64`. Raises `Malformed` for any other spelling."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise Malformed("not base64") from error
    if format_base64(data) != text:
        raise Malformed("base64 is not canonical")
    return data


def _require_text(text: bytes) -> str:
    """Return the note text as str: UTF-8, no control character but newline, ending with one newline."""
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("note is not UTF-8") from error
    if not decoded.endswith("\n") or _CONTROL.search(decoded):
        raise Malformed("note text has control characters or no final newline")
    return decoded


def require_name(name: str) -> str:
    """Return a key's name. Raises `Malformed` for one that no note may have."""
    if not _NAME.fullmatch(name):
        raise Malformed("key name is empty or has a space or a plus")
    return name


def key_id(name: str, public: Ed25519PublicKey, signature_type: bytes = ED25519) -> bytes:
    """Return the 4-byte id of a note key; ``signature_type`` is the byte that the specification gives each type."""
    hashed = name.encode() + b"\n" + signature_type + public.public_bytes_raw()
    return hashlib.sha256(hashed).digest()[:_KEY_ID_BYTES]


def format_verifier_key(name: str, public: Ed25519PublicKey, signature_type: bytes = ED25519) -> str:
    """Write a verifier key (``vkey``) of the signed-note specification."""
    encoded = format_base64(signature_type + public.public_bytes_raw())
    return f"{require_name(name)}+{key_id(name, public, signature_type).hex()}+{encoded}"


def parse_verifier_key(text: str, signature_type: bytes = ED25519) -> VerifierKey:
    """Read a verifier key. Raises `Malformed` unless `format_verifier_key` would write exactly this."""
    parts = text.split("+", 2)
    if len(parts) != 3 or not _KEY_ID.fullmatch(parts[1]):
        raise Malformed("verifier key is not name+id+key")
    data = parse_base64(parts[2])
    if len(data) != 33 or data[:1] != signature_type:
        raise Malformed("verifier key is of another type")
    public = Ed25519PublicKey.from_public_bytes(data[1:])
    found = VerifierKey(require_name(parts[0]), bytes.fromhex(parts[1]), public)
    if found.key_id != key_id(found.name, public, signature_type):
        raise Malformed("verifier key has the wrong key id")
    return found


def format_note(note: SignedNote) -> bytes:
    """Write a note. Raises `Malformed` for what `parse_note` would not read back."""
    _require_text(note.text)
    if not 1 <= len(note.signatures) <= MAX_SIGNATURES:
        raise Malformed("note has no signature or too many")
    lines = []
    for one in note.signatures:
        if len(one.key_id) != _KEY_ID_BYTES or not one.signature:
            raise Malformed("signature line is too short")
        lines.append(f"{_DASH}{require_name(one.name)} {format_base64(one.key_id + one.signature)}\n")
    data = note.text + b"\n" + "".join(lines).encode("utf-8")
    if len(data) > MAX_NOTE_BYTES:
        raise Malformed("note is too large")
    return data


def parse_note(data: bytes) -> SignedNote:
    """Read a note; exact inverse of `format_note`. Raises `Malformed`. Verifies nothing."""
    if len(data) > MAX_NOTE_BYTES:
        raise Malformed("note is too large")
    whole = _require_text(data)
    text, blank, tail = whole.rpartition("\n\n")
    if not blank:
        raise Malformed("note has no signature block")
    signatures = []
    # The tail ends with a newline, so the last piece is empty; any other empty piece is refused below.
    for line in tail.split("\n")[:-1]:
        fields = line.removeprefix(_DASH).split(" ")
        if not line.startswith(_DASH) or len(fields) != 2:
            raise Malformed("signature line is malformed")
        blob = parse_base64(fields[1])
        if len(blob) <= _KEY_ID_BYTES:
            raise Malformed("signature line is too short")
        signatures.append(NoteSignature(require_name(fields[0]), blob[:_KEY_ID_BYTES], blob[_KEY_ID_BYTES:]))
    if not 1 <= len(signatures) <= MAX_SIGNATURES:
        raise Malformed("note has no signature or too many")
    return SignedNote((text + "\n").encode("utf-8"), tuple(signatures))


def sign_note(text: bytes, name: str, key: Ed25519PrivateKey) -> bytes:
    """Sign ``text`` (UTF-8, ending with a newline) as ``name``. Ed25519, so the bytes are always the same."""
    _require_text(text)
    public = key.public_key()
    return format_note(SignedNote(text, (NoteSignature(name, key_id(name, public), key.sign(text)),)))


def open_note(note: bytes, verifier_key: VerifierKey) -> bytes:
    """Return the text of a note that ``verifier_key`` signed.

    Lines of other keys are parsed and say nothing. Raises `Malformed`; `BadSignature` when no line is of
    this key, or one of its lines does not hold.
    """
    parsed = parse_note(note)
    verify_note(parsed, verifier_key)
    return parsed.text


def verify_note(parsed: SignedNote, verifier_key: VerifierKey) -> None:
    """Verify the signatures of ``verifier_key`` on a parsed note; see `open_note`. Raises `BadSignature`."""
    ours = [
        one
        for one in parsed.signatures
        if one.name == verifier_key.name and one.key_id == verifier_key.key_id
    ]
    if not ours:
        raise BadSignature("note is not signed by this key")
    for one in ours:
        try:
            verifier_key.public.verify(one.signature, parsed.text)
        except InvalidSignature as error:
            raise BadSignature("note signature does not hold") from error


def format_checkpoint(origin: str, size: int, root: bytes) -> bytes:
    """Write a checkpoint's text (no signature). Raises `Malformed` for what is not a checkpoint."""
    if not origin or any(one < " " for one in origin):
        raise Malformed("checkpoint origin is empty or has control characters")
    if not 0 <= size <= MAX_SIZE or len(root) != HASH_BYTES:
        raise Malformed("checkpoint size or root is out of range")
    return f"{origin}\n{size}\n{format_base64(root)}\n".encode()


def parse_checkpoint(text: bytes) -> Checkpoint:
    """Read a checkpoint's text; exact inverse of `format_checkpoint`, so no extension lines.

    Raises `Malformed`.
    """
    lines = _require_text(text).split("\n")
    if len(lines) != 4 or not _SIZE.fullmatch(lines[1]):
        raise Malformed("checkpoint is not origin, size and root")
    found = Checkpoint(lines[0], int(lines[1]), parse_base64(lines[2]))
    format_checkpoint(found.origin, found.size, found.root)  # raises where a value is out of range
    return found
