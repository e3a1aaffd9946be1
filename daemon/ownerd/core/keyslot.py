"""Keyslots: what one token holds to open the vault (DESIGN section 5).

A keyslot is a record of kind ``keyslot`` that is read before the vault is open, so its members are in
clear or sealed to the token itself, never under the vault key:

- ``hpke``: the slot's own X25519 pair, private half under the token's slot secret; the vault key is
  wrapped to its public half, so that it can be rotated while the token is absent;
- ``transfer``: the pair to which keys of providers are sealed that were made while the token was absent.

A token that only signs has no keyslot. Its record, of kind ``approver``, is read once the vault is open, and so
lies under the vault key like any other (`ownerd.core.vault`).
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Struct
from msgspec.structs import replace

from ownerd.core import seal
from ownerd.core.ports import Record, Rng
from ownerd.model.canonical import format_canonical
from ownerd.model.encoding import Json, format_b64u, parse_b64u, parse_json_object
from ownerd.model.errors import InvalidArgument, Unsupported, VaultDamaged
from ownerd.model.secret import Secret
from ownerd.model.token import SecretHandle, TokenCredential

KIND: Final = "keyslot"
APPROVER: Final = "approver"
SALT_BYTES: Final = 32
_CURVES: Final[dict[str, type[ec.EllipticCurve]]] = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1}


class SealedPair(Struct, frozen=True):
    """An X25519 pair whose private half is sealed under the token secret behind ``handle``."""

    handle: SecretHandle
    public: bytes
    private: bytes


class Keyslot(Struct, frozen=True):
    """One enrolled token, ``since`` that entry. ``wrapped_vault_key`` is for ``generation`` of the vault key."""

    credential: TokenCredential
    slot: SealedPair
    transfer: SealedPair
    generation: int
    wrapped_vault_key: bytes
    since: int = 0

    @property
    def id(self) -> str:
        """The token's id."""
        return self.credential.id


class Approver(Struct, frozen=True):
    """One enrolled token that only signs, ``since`` that entry: it approves, and is no way in."""

    credential: TokenCredential
    since: int = 0

    @property
    def id(self) -> str:
        """The token's id."""
        return self.credential.id


Enrolled = Keyslot | Approver


def fresh_handle(credential: TokenCredential, rng: Rng) -> SecretHandle:
    """Name a secret of the token that nobody has asked for yet.

    A salt for hmac-secret; for a card an ephemeral point on the curve of its agreement key, whose private
    half is forgotten at once. Raises `Unsupported` for a token that only signs.
    """
    if credential.type == "fido2":
        return SecretHandle(rng(SALT_BYTES))
    if credential.agreement_key is None:
        raise Unsupported("the token only signs and opens nothing")
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    curve = _CURVES[str(credential.agreement_key["crv"])]()
    point = ec.generate_private_key(curve).public_key()
    return SecretHandle(point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))


def new_handles(credential: TokenCredential, rng: Rng) -> tuple[SecretHandle, SecretHandle]:
    """Fresh (slot, transfer) handles for a token that is being enrolled."""
    return fresh_handle(credential, rng), fresh_handle(credential, rng)


def make_keyslot(
    credential: TokenCredential,
    handles: tuple[SecretHandle, SecretHandle],
    secrets: tuple[Secret, Secret],
    vault_key: Secret,
    generation: int,
    rng: Rng,
    *,
    since: int,
) -> Keyslot:
    """Build the keyslot of a token from the (slot, transfer) secrets that it has just yielded."""
    pairs = []
    for purpose, handle, secret in zip(("slot", "transfer"), handles, secrets, strict=True):
        public, private = seal.new_pair(rng)
        key = seal.derive(secret, f"ownerd/{purpose}/v1")
        where = seal.place(KIND, credential.id, purpose)
        pairs.append(
            SealedPair(
                SecretHandle(handle.salt, seal.key_check(secret)),
                public,
                seal.seal(key, private.reveal(), where, rng),
            )
        )
    keyslot = Keyslot(credential, pairs[0], pairs[1], 0, b"", since)
    return wrap_vault_key(keyslot, vault_key, generation)


def wrap_vault_key(keyslot: Keyslot, vault_key: Secret, generation: int) -> Keyslot:
    """Seal a vault key to the slot; needs no token."""
    where = seal.place(KIND, keyslot.id, "vault-key", generation)
    wrapped = seal.wrap(keyslot.slot.public, vault_key.reveal(), where)
    return replace(keyslot, generation=generation, wrapped_vault_key=wrapped)


def open_vault_key(keyslot: Keyslot, secret: Secret) -> Secret:
    """Return the vault key. Raises `VaultDamaged`."""
    private = open_private(keyslot, "slot", secret)
    where = seal.place(KIND, keyslot.id, "vault-key", keyslot.generation)
    return seal.unwrap(private, keyslot.wrapped_vault_key, where)


def open_private(keyslot: Keyslot, purpose: str, secret: Secret) -> Secret:
    """Return the raw private half of the ``slot`` or ``transfer`` pair. Raises `VaultDamaged`."""
    pair = keyslot.slot if purpose == "slot" else keyslot.transfer
    key = seal.derive(secret, f"ownerd/{purpose}/v1")
    return Secret(seal.unseal(key, pair.private, seal.place(KIND, keyslot.id, purpose)))


def _format_pair(pair: SealedPair) -> dict[str, Json]:
    return {
        "salt": format_b64u(pair.handle.salt),
        "check": format_b64u(pair.handle.check or b""),
        "public": format_b64u(pair.public),
        "private": format_b64u(pair.private),
    }


def _parse_pair(members: dict[str, Json]) -> SealedPair:
    handle = SecretHandle(parse_b64u(members["salt"]), parse_b64u(members["check"]))
    return SealedPair(handle, parse_b64u(members["public"]), parse_b64u(members["private"]))


def _format_token(enrolled: Enrolled) -> dict[str, Json]:
    credential = enrolled.credential
    members: dict[str, Json] = {
        "v": 1,
        "type": credential.type,
        "name": credential.name,
        "credential": format_b64u(credential.credential_id),
        "public_key": credential.public_key,
        "user_verification": credential.user_verification,
        "aaguid": credential.aaguid,
        "firmware": credential.firmware,
        "software": credential.software,
        "since": enrolled.since,
    }
    if credential.agreement_key is not None:
        members["agreement_key"] = credential.agreement_key
    return members


def _parse_token(token_id: str, members: dict[str, Json]) -> TokenCredential:
    return TokenCredential(
        type=members["type"],
        id=token_id,
        credential_id=parse_b64u(members["credential"]),
        public_key=dict(members["public_key"]),
        user_verification=bool(members["user_verification"]),
        aaguid=str(members["aaguid"]),
        firmware=int(members["firmware"]),
        software=bool(members["software"]),
        name=str(members["name"]),
        agreement_key=dict(members["agreement_key"]) if "agreement_key" in members else None,
    )


def format_keyslot(keyslot: Keyslot) -> Record:
    """Keyslot → record."""
    members = {
        **_format_token(keyslot),
        "slot": _format_pair(keyslot.slot),
        "transfer": _format_pair(keyslot.transfer),
        "vault_key": format_b64u(keyslot.wrapped_vault_key),
    }
    return Record(KIND, keyslot.id, keyslot.generation, format_canonical(members))


def parse_keyslot(record: Record) -> Keyslot:
    """Inverse of `format_keyslot`. Raises `VaultDamaged`."""
    try:
        members = parse_json_object(record.sealed)
        if members["v"] != 1 or members["type"] not in ("fido2", "piv", "pkcs11"):
            raise VaultDamaged("a keyslot is of a newer version")
        credential = _parse_token(record.id, members)
        slot, transfer = _parse_pair(members["slot"]), _parse_pair(members["transfer"])
        wrapped = parse_b64u(members["vault_key"])
        since = int(members["since"])
    except (InvalidArgument, KeyError, TypeError, ValueError) as error:
        raise VaultDamaged("a keyslot is damaged") from error
    return Keyslot(credential, slot, transfer, record.generation, wrapped, since)


def format_way_in(keyslot: Keyslot) -> dict[str, Json]:
    """What a backup shows of a keyslot: the token and its slot pair, neither transfer pair nor vault key."""
    return {**_format_token(keyslot), "id": keyslot.id, "slot": _format_pair(keyslot.slot)}


def parse_way_in(members: dict[str, Json]) -> Keyslot:
    """Inverse of `format_way_in`; the transfer pair and the vault key are empty. Raises `VaultDamaged`."""
    try:
        slot = _parse_pair(members["slot"])
        none = SealedPair(SecretHandle(b""), b"", b"")
        token_id = members["id"]
        if not isinstance(token_id, str) or members["type"] not in ("fido2", "piv", "pkcs11"):
            raise VaultDamaged("a way in is of another kind")
        found = Keyslot(_parse_token(token_id, members), slot, none, 0, b"", int(members["since"]))
    except (InvalidArgument, KeyError, TypeError, ValueError) as error:
        raise VaultDamaged("a way in is damaged") from error
    if format_way_in(found) != members:
        raise VaultDamaged("a way in is not in its one form")
    return found


def format_approver(approver: Approver) -> dict[str, Json]:
    """Plaintext of an approver's record."""
    return _format_token(approver)


def parse_approver(token_id: str, members: dict[str, Json]) -> Approver:
    """Inverse of `format_approver`. Raises `VaultDamaged`, also for what has parts of a keyslot."""
    try:
        approver = Approver(_parse_token(token_id, members), int(members["since"]))
    except (InvalidArgument, KeyError, TypeError, ValueError) as error:
        raise VaultDamaged("an enrolled token is damaged") from error
    if approver.credential.type not in ("piv", "pkcs11") or approver.credential.opens:
        raise VaultDamaged("an enrolled token is of another kind")
    if format_approver(approver) != members:
        raise VaultDamaged("an enrolled token is half a keyslot")
    return approver
