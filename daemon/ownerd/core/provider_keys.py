"""Provider keys: one P-256 pair per provider, in two layers, one copy per token (DESIGN section 5).

Outer layer: the record is sealed under the vault key (`ownerd.core.vault`). Inner layer, here: the private
half under the secret that one token yields for that provider's salt (``direct``), or, for a token that
was absent when the key was made, HPKE to its transfer key (``transfer``). So one touch opens one
provider's key; the first use by a token that was absent re-wraps it, and that touch is the one exception.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from msgspec import Struct

from ownerd.core import seal
from ownerd.core.keyslot import Keyslot, fresh_handle, open_private
from ownerd.core.ports import Rng
from ownerd.model.encoding import Json, format_b64u, parse_b64u
from ownerd.model.errors import InvalidArgument, VaultDamaged
from ownerd.model.secret import Secret
from ownerd.model.token import SecretHandle

KIND: Final = "provider-key"


class KeyCopy(Struct, frozen=True):
    """One token's copy of one provider's key. ``handle`` is None while it waits under the transfer key."""

    provider_id: str
    token_id: str
    handle: SecretHandle | None
    inner: bytes

    @property
    def record_id(self) -> str:
        """Where the copy lies."""
        return f"{self.provider_id}/{self.token_id}"


def new_private_key() -> ec.EllipticCurvePrivateKey:
    """Make a provider key (or a one-time key)."""
    return ec.generate_private_key(ec.SECP256R1())


def handles_for(copy: KeyCopy | None, keyslot: Keyslot, rng: Rng) -> list[SecretHandle]:
    """What the touch asks of the token so that the provider's key opens.

    Known: its salt. New provider: one fresh salt. Waiting under the transfer key: the transfer salt and
    a fresh one, to re-wrap.
    """
    if copy is not None and copy.handle is not None:
        return [copy.handle]
    fresh = fresh_handle(keyslot.credential, rng)
    return [fresh] if copy is None else [keyslot.transfer.handle, fresh]


def open_key(copy: KeyCopy, keyslot: Keyslot, secrets: Sequence[Secret]) -> ec.EllipticCurvePrivateKey:
    """Open a copy with the secrets that the touch on `handles_for` yielded. Raises `VaultDamaged`."""
    if copy.handle is None:
        return open_transfer(copy, open_private(keyslot, "transfer", secrets[0]))
    return parse_key(seal.unseal(_inner_key(secrets[0]), copy.inner, _where(copy.provider_id, copy.token_id)))


def open_transfer(copy: KeyCopy, private: Secret) -> ec.EllipticCurvePrivateKey:
    """Open a copy that waits under the transfer key (or the recovery key). Raises `VaultDamaged`."""
    where = _where(copy.provider_id, copy.token_id, "transfer")
    return parse_key(seal.unwrap(private, copy.inner, where).reveal())


def copy_direct(
    provider_id: str, token_id: str, key: ec.EllipticCurvePrivateKey, salt: bytes, secret: Secret, rng: Rng
) -> KeyCopy:
    """Seal ``key`` for the token that has just yielded ``secret`` for ``salt``."""
    inner = seal.seal(_inner_key(secret), format_key(key), _where(provider_id, token_id), rng)
    return KeyCopy(provider_id, token_id, SecretHandle(salt, seal.key_check(secret)), inner)


def copy_transfer(
    provider_id: str, holder_id: str, public: bytes, key: ec.EllipticCurvePrivateKey
) -> KeyCopy:
    """Seal ``key`` to the transfer key of an absent token, or to the recovery key."""
    where = _where(provider_id, holder_id, "transfer")
    return KeyCopy(provider_id, holder_id, None, seal.wrap(public, format_key(key), where))


def format_copy(copy: KeyCopy) -> dict[str, Json]:
    """Plaintext of the outer layer."""
    members: dict[str, Json] = {"v": 1, "inner": format_b64u(copy.inner)}
    if copy.handle is not None:
        members["salt"] = format_b64u(copy.handle.salt)
        members["check"] = format_b64u(copy.handle.check or b"")
    return members


def parse_copy(record_id: str, members: dict[str, Json]) -> KeyCopy:
    """Inverse of `format_copy`. Raises `VaultDamaged`."""
    try:
        provider_id, token_id = record_id.split("/")
        handle = None
        if "salt" in members:
            handle = SecretHandle(parse_b64u(members["salt"]), parse_b64u(members["check"]))
        return KeyCopy(provider_id, token_id, handle, parse_b64u(members["inner"]))
    except (InvalidArgument, KeyError, TypeError, ValueError) as error:
        raise VaultDamaged("a provider key is damaged") from error


def _where(provider_id: str, token_id: str, form: str = "direct") -> bytes:
    return seal.place(KIND, provider_id, token_id, form)


def _inner_key(secret: Secret) -> Secret:
    return seal.derive(secret, "ownerd/provider-key/v1")


def format_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Plaintext of a private key, PKCS #8 in DER: of a provider, or of a grant."""
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def parse_key(der: bytes) -> ec.EllipticCurvePrivateKey:
    """Inverse of `format_key`. Raises `VaultDamaged`."""
    try:
        key = load_der_private_key(der, password=None)
    except ValueError as error:
        raise VaultDamaged("a private key is damaged") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise VaultDamaged("a private key is of another kind")
    return key
