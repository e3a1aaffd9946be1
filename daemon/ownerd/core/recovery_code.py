"""The recovery code: its written form, its keys, and the slot that it opens. Pure.

Code: 130 random bits and a 10-bit checksum as 28 characters of Crockford's base32, in seven groups of four.
Reading forgives case, separators and the letters that are taken for digits (O, I, L). The 130 bits are key
material of full strength, so HKDF-SHA256 with one info each yields the two private keys; nothing is stored.

The slot (record of kind ``recovery``) is read before the vault is open: the public halves, and the vault key
wrapped to the HPKE half.
"""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec import Struct
from msgspec.structs import replace

from ownerd.core import seal
from ownerd.core.ports import Record, Rng
from ownerd.core.vault_index import RECOVERY_SLOT
from ownerd.model.canonical import format_canonical
from ownerd.model.encoding import Json, format_b64u, parse_b64u, parse_json_object
from ownerd.model.errors import InvalidArgument, VaultDamaged
from ownerd.model.secret import Secret

KIND, ID = RECOVERY_SLOT
CODE_CHARS: Final = 26
CHECK_CHARS: Final = 2
GROUP: Final = 4
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MISREAD: Final = str.maketrans("OIL", "011")
_SEPARATORS: Final = " -\u2010\u2011\u2012\u2013\u2014.,_\t\n"


def new_code(rng: Rng) -> Secret:
    """Return a fresh code: 26 characters, 130 bits."""
    number = int.from_bytes(rng(17), "big") >> 6
    return Secret("".join(_ALPHABET[number >> 5 * place & 31] for place in range(CODE_CHARS)).encode())


def _checksum(code: str) -> str:
    digest = int.from_bytes(hashlib.sha256(b"ownerd/recovery-code/v1\0" + code.encode()).digest()[:2], "big")
    return _ALPHABET[digest >> 11] + _ALPHABET[digest >> 6 & 31]


def format_code(code: Secret) -> str:
    """Write a code for people: seven groups of four, the last two characters the checksum."""
    text = code.reveal().decode()
    text += _checksum(text)
    return "-".join(text[start : start + GROUP] for start in range(0, len(text), GROUP))


def parse_code(typed: str) -> Secret:
    """Read what a person typed. Raises `InvalidArgument`, never quoting it."""
    text = "".join(character for character in typed if character not in _SEPARATORS)
    text = text.upper().translate(_MISREAD)
    if len(text) != CODE_CHARS + CHECK_CHARS or any(character not in _ALPHABET for character in text):
        raise InvalidArgument("a recovery code has 28 letters and digits")
    code, check = text[:CODE_CHARS], text[CODE_CHARS:]
    if _checksum(code) != check:
        raise InvalidArgument("the recovery code has a typing mistake")
    return Secret(code.encode())


def groups(code: Secret) -> list[str]:
    """The seven groups, to be typed back."""
    return format_code(code).split("-")


def same_groups(typed: Secret, expected: str) -> bool:
    """Whether a person typed these groups, with the same forgiveness as `parse_code`."""
    text = typed.reveal().decode("utf-8", "replace")
    return "".join(c for c in text if c not in _SEPARATORS).upper().translate(_MISREAD) == expected


class RecoveryKeys(Struct, frozen=True):
    """What a code yields: the raw X25519 private half, and the Ed25519 key that approves."""

    private: Secret
    signing: Ed25519PrivateKey


class RecoverySlot(Struct, frozen=True):
    """Public half of the recovery key, and the vault key wrapped to it. ``since`` is its ledger entry."""

    public: bytes
    verify: bytes
    generation: int
    wrapped_vault_key: bytes
    since: int


def derive_keys(code: Secret) -> RecoveryKeys:
    """Derive the keys of a code."""
    signing = seal.derive(code, "ownerd/recovery/sign/v1")
    return RecoveryKeys(
        seal.derive(code, "ownerd/recovery/hpke/v1"), Ed25519PrivateKey.from_private_bytes(signing.reveal())
    )


def make_slot(code: Secret, vault_key: Secret, generation: int, *, since: int) -> RecoverySlot:
    """Build the slot of a code."""
    keys = derive_keys(code)
    public = seal.public_bytes(X25519PrivateKey.from_private_bytes(keys.private.reveal()))
    slot = RecoverySlot(public, keys.signing.public_key().public_bytes_raw(), 0, b"", since)
    return wrap_vault_key(slot, vault_key, generation)


def wrap_vault_key(slot: RecoverySlot, vault_key: Secret, generation: int) -> RecoverySlot:
    """Seal a vault key to the slot; needs no code."""
    wrapped = seal.wrap(slot.public, vault_key.reveal(), seal.place(KIND, ID, "vault-key", generation))
    return replace(slot, generation=generation, wrapped_vault_key=wrapped)


def open_vault_key(slot: RecoverySlot, keys: RecoveryKeys) -> Secret:
    """Return the vault key. Raises `VaultDamaged` for another code."""
    where = seal.place(KIND, ID, "vault-key", slot.generation)
    return seal.unwrap(keys.private, slot.wrapped_vault_key, where)


def format_slot(slot: RecoverySlot) -> Record:
    """Slot → record."""
    members: dict[str, Json] = {
        "v": 1,
        "public": format_b64u(slot.public),
        "verify": format_b64u(slot.verify),
        "vault_key": format_b64u(slot.wrapped_vault_key),
        "since": slot.since,
    }
    return Record(KIND, ID, slot.generation, format_canonical(members))


def parse_slot(record: Record) -> RecoverySlot:
    """Inverse of `format_slot`. Raises `VaultDamaged`."""
    try:
        members = parse_json_object(record.sealed)
        if members["v"] != 1:
            raise VaultDamaged("the recovery slot is of a newer version")
        return RecoverySlot(
            parse_b64u(members["public"]),
            parse_b64u(members["verify"]),
            record.generation,
            parse_b64u(members["vault_key"]),
            int(members["since"]),
        )
    except (InvalidArgument, KeyError, TypeError, ValueError) as error:
        raise VaultDamaged("the recovery slot is damaged") from error
