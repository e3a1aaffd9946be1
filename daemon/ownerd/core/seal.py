"""Sealing: the three constructions that every secret at rest uses, composed from `cryptography`.

AES-256-GCM with a random 96-bit nonce (SP 800-38D) under keys of one use each; HKDF-SHA256 (RFC 5869) with
one info string per purpose; HPKE base mode X25519/HKDF-SHA256/AES-256-GCM (RFC 9180). The associated
data of a record is the canonical JSON of its place, so that a row moved elsewhere does not open.
"""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ownerd.core.ports import Rng
from ownerd.model.canonical import format_canonical
from ownerd.model.encoding import Json
from ownerd.model.errors import VaultDamaged
from ownerd.model.secret import Secret

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
KEY_CHECK_BYTES: Final = 16


def _suite() -> Suite:
    return Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def place(*parts: str | int) -> bytes:
    """Associated data that binds a ciphertext to where it lies: canonical JSON of ``parts``."""
    members: list[Json] = ["ownerd/v1", *parts]
    return format_canonical(members)


def derive(secret: Secret, info: str, size: int = KEY_BYTES) -> Secret:
    """HKDF-SHA256 of ``secret`` for one purpose."""
    kdf = HKDF(algorithm=hashes.SHA256(), length=size, salt=None, info=info.encode())
    return Secret(kdf.derive(secret.reveal()))


def key_check(secret: Secret) -> bytes:
    """Key check value of a token's secret: tells a wrong secret from a damaged record, reveals neither."""
    return derive(secret, "ownerd/kcv/v1", KEY_CHECK_BYTES).reveal()


def seal(key: Secret, plaintext: bytes, where: bytes, rng: Rng) -> bytes:
    """Return nonce ‖ AES-256-GCM ciphertext, bound to ``where``."""
    nonce = rng(NONCE_BYTES)
    return nonce + AESGCM(key.reveal()).encrypt(nonce, plaintext, where)


def unseal(key: Secret, sealed: bytes, where: bytes) -> bytes:
    """Inverse of `seal`. Raises `VaultDamaged` for another key, another place or changed bytes."""
    try:
        return AESGCM(key.reveal()).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], where)
    except (InvalidTag, ValueError) as error:
        raise VaultDamaged("a sealed record does not open") from error


def public_bytes(key: X25519PrivateKey) -> bytes:
    """Raw 32-byte public half."""
    return key.public_key().public_bytes_raw()


def public_of(private: Secret) -> bytes:
    """Raw public half of a raw X25519 private half."""
    return public_bytes(X25519PrivateKey.from_private_bytes(private.reveal()))


def digest(data: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(data).digest()


def wrap(public: bytes, plaintext: bytes, where: bytes) -> bytes:
    """HPKE-seal ``plaintext`` to a raw X25519 public key, with ``where`` as info."""
    return _suite().encrypt(plaintext, X25519PublicKey.from_public_bytes(public), where)


def unwrap(private: Secret, wrapped: bytes, where: bytes) -> Secret:
    """Inverse of `wrap` with the raw private half. Raises `VaultDamaged`."""
    try:
        key = X25519PrivateKey.from_private_bytes(private.reveal())
        return Secret(_suite().decrypt(wrapped, key, where))
    except (InvalidTag, ValueError) as error:
        raise VaultDamaged("a wrapped key does not open") from error


def new_pair(rng: Rng) -> tuple[bytes, Secret]:
    """Make an X25519 pair: (raw public half, raw private half)."""
    private = Secret(rng(KEY_BYTES))
    return public_bytes(X25519PrivateKey.from_private_bytes(private.reveal())), private
