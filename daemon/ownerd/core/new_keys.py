"""New keys of the log, which one entry brings into force: at set-up, at a rotation, at a restore."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec import Struct

from ownerd.core import seal
from ownerd.core.journal import LogKeys
from ownerd.core.ports import Rng


class NewKeys(Struct, frozen=True):
    """The pair that signs the log, and the pair that openings are sealed to."""

    log: Ed25519PrivateKey
    opening: X25519PrivateKey

    @property
    def keys(self) -> LogKeys:
        """As the journal uses them."""
        return LogKeys(self.log, self.opening.public_key())

    @property
    def private(self) -> tuple[bytes, bytes]:
        """As the vault keeps them: both private halves, 32 bytes each."""
        return self.log.private_bytes_raw(), self.opening.private_bytes_raw()


def make_new_keys(rng: Rng) -> NewKeys:
    """Make both pairs."""
    log = Ed25519PrivateKey.from_private_bytes(rng(seal.KEY_BYTES))
    return NewKeys(log, X25519PrivateKey.from_private_bytes(rng(seal.KEY_BYTES)))
