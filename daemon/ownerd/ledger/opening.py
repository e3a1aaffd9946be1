"""Openings: the sealed, erasable plaintext behind an entry's commitments.

Plaintext: JCS of ``{"v":1,"values":{label:{"salt":b64u,"value":JSON}, …}}``. Ciphertext: a 12-byte nonce ‖
AES-256-GCM under a fresh 32-byte content key, with SHA-256(JCS(leaf core)) as additional data, so that an
opening belongs to one entry. Wrapped key: HPKE base mode (RFC 9180; X25519, HKDF-SHA256, AES-256-GCM, info
``ownerd/opening/v1``) of the content key: 32 bytes of encapsulated key ‖ 48 bytes. The leaf holds the
SHA-256 of the ciphertext and not of the wrapped key, because rotating the opening key wraps anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from ownerd.ledger.entry import SALT_BYTES, Leaf, LeafCore, commit, core_digest, require_salted
from ownerd.ledger.shape import Members, format_b64u, format_canonical, parse_canonical
from ownerd.model.encoding import Json
from ownerd.model.errors import Malformed, Tampered

INFO: Final = b"ownerd/opening/v1"
MAX_OPENING_BYTES: Final = 1 << 22
WRAPPED_KEY_BYTES: Final = 80

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_VERSION: Final = 1


class OpeningValue(Struct, frozen=True):
    """One committed value and its salt (16 bytes). The value is JSON and personal."""

    salt: bytes
    value: Json

    def __repr__(self) -> str:
        """Show no value: openings end up in tracebacks like anything else."""
        return "OpeningValue(…)"


class SealedOpening(Struct, frozen=True):
    """What the ``opening`` table holds of one entry: HPKE-wrapped content key, and nonce ‖ ciphertext."""

    wrapped_key: bytes
    ciphertext: bytes

    @property
    def digest(self) -> bytes:
        """What the leaf holds of it: SHA-256 of the ciphertext."""
        return hashlib.sha256(self.ciphertext).digest()


def _suite() -> hpke.Suite:
    return hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


def format_opening(values: Mapping[str, OpeningValue]) -> bytes:
    """Encode the plaintext of an opening. Raises `Malformed` for labels, salts or values not of their form."""
    for label, one in values.items():
        require_salted(label, one.salt)
    encoded = {label: {"salt": format_b64u(one.salt), "value": one.value} for label, one in values.items()}
    return format_canonical({"v": _VERSION, "values": encoded})


def parse_opening(data: bytes) -> dict[str, OpeningValue]:
    """Decode the plaintext of an opening; exact inverse of `format_opening`. Raises `Malformed`."""
    members = Members(parse_canonical(data, max_bytes=MAX_OPENING_BYTES), ("v", "values"))
    values = members.value("values")
    if members.count("v") != _VERSION or not isinstance(values, dict):
        raise Malformed("opening is of an unknown version")
    found = {}
    for label, value in values.items():
        one = Members(value, ("salt", "value"))
        found[label] = OpeningValue(one.data("salt", SALT_BYTES), one.value("value"))
        commit(label, found[label].salt, found[label].value)
    return found


def seal_opening(
    values: Mapping[str, OpeningValue],
    core: LeafCore,
    public_key: X25519PublicKey,
    rng: Callable[[int], bytes],
) -> SealedOpening:
    """Seal the values of one entry to the opening key, bound to that entry's core."""
    plaintext = format_opening(values)
    if len(plaintext) > MAX_OPENING_BYTES:
        raise Malformed("opening is too large")
    key, nonce = rng(_KEY_BYTES), rng(_NONCE_BYTES)
    ciphertext = nonce + AESGCM(key).encrypt(nonce, plaintext, core_digest(core))
    return SealedOpening(_suite().encrypt(key, public_key, INFO), ciphertext)


def open_opening(
    sealed: SealedOpening, core: LeafCore, private_key: X25519PrivateKey
) -> dict[str, OpeningValue]:
    """Open what `seal_opening` sealed. `verify_opening` must follow before a value is believed.

    Raises `Tampered` when key, entry or bytes are not the ones it was sealed with; `Malformed`.
    """
    if len(sealed.wrapped_key) != WRAPPED_KEY_BYTES or len(sealed.ciphertext) < _NONCE_BYTES + 16:
        raise Malformed("opening is too short")
    nonce, ciphertext = sealed.ciphertext[:_NONCE_BYTES], sealed.ciphertext[_NONCE_BYTES:]
    try:
        key = _suite().decrypt(sealed.wrapped_key, private_key, INFO)
        plaintext = AESGCM(key).decrypt(nonce, ciphertext, core_digest(core))
    except (InvalidTag, ValueError) as error:
        raise Tampered("opening does not open") from error
    return parse_opening(plaintext)


def verify_opening(values: Mapping[str, OpeningValue], leaf: Leaf) -> None:
    """Recompute every commitment of ``leaf`` from its opened values.

    Raises `Tampered` unless the labels are exactly the leaf's and every value is the committed one.
    """
    committed = {**leaf.core.commitments, **leaf.outcome}
    if values.keys() != committed.keys():
        raise Tampered("opening has other labels than its entry")
    for label, one in values.items():
        if commit(label, one.salt, one.value) != committed[label]:
            raise Tampered("opening has a value that its entry did not commit to")
