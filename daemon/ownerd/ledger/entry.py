"""The leaf of the ledger: one entry as canonical JSON (RFC 8785), its challenge and its commitments.

::

    {"v":1,
     "core":{"log":…,"time":…,"kind":…,"nonce":…,"size":…,"root":…,"commitments":{…},"facts":{…}},
     "approval":null | {"type":"fido2" | "piv" | "pkcs11" | "recovery", …},
     "outcome":{…},
     "vault":{"generation":…,"digest":…},
     "opening":null | …}

Bytes are base64url without padding. A touch signs the core; the rest is made after the touch. The whole
format is in docs/LEDGER.md. `parse_leaf` trusts nothing and accepts exactly what `format_leaf` writes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from ownerd.ledger.approval_form import approval_json, read_approval
from ownerd.ledger.facts import require_facts
from ownerd.ledger.merkle import HASH_BYTES
from ownerd.ledger.shape import (
    Members,
    format_b64u,
    format_canonical,
    format_plain,
    parse_canonical,
    require_data,
)
from ownerd.model.clock import parse_time
from ownerd.model.encoding import Json
from ownerd.model.errors import InvalidArgument, Malformed
from ownerd.model.names import Kind
from ownerd.model.token import Approval

VERSION: Final = 1
NONCE_BYTES: Final = 16
SALT_BYTES: Final = 16
MAX_LEAF_BYTES: Final = 1 << 16
MAX_COMMITMENTS: Final = 256
MAX_LAG: Final = 4096  # entries that may be appended between an entry's touch and its place

_LOG = re.compile(r"[0-9a-f]{32}", re.ASCII)
_LABEL = re.compile(r"[a-z][a-z_-]{0,31}(/(0|[1-9][0-9]{0,3}))?", re.ASCII)


class LeafCore(Struct, frozen=True):
    """What a touch signs.

    ``log`` is 32 hex digits; ``time`` as `model.clock.format_time` writes it; ``nonce`` 16 bytes; ``size``
    and ``root`` (32 bytes) are of the tree as it was signed over; ``commitments`` maps labels to 32 bytes.
    """

    log: str
    time: str
    kind: Kind
    nonce: bytes
    size: int
    root: bytes
    commitments: Mapping[str, bytes]
    facts: Mapping[str, Json]


class Leaf(Struct, frozen=True):
    """One entry. ``outcome`` are commitments made after the touch; ``opening`` is SHA-256 of the ciphertext."""

    core: LeafCore
    approval: Approval | None
    outcome: Mapping[str, bytes]
    vault_generation: int
    vault_digest: bytes
    opening: bytes | None


def origin(log_id: str) -> str:
    """Return the origin line and key name of a log (C2SP tlog-checkpoint)."""
    return f"ownerd/{log_id}"


def commit(label: str, salt: bytes, value: Json) -> bytes:
    """Commit to ``value``: SHA-256("ownerd/commitment/v1" ‖ 0x00 ‖ JCS({"label","salt","value"})).

    Raises `Malformed` for another label form, a salt that is not 16 bytes or a value that is not JSON.
    """
    require_salted(label, salt)
    encoded = format_canonical({"label": label, "salt": format_b64u(salt), "value": value})
    return hashlib.sha256(b"ownerd/commitment/v1\x00" + encoded).digest()


def require_salted(label: str, salt: bytes) -> None:
    """Raise `Malformed` for another label form, or a salt that is not 16 bytes."""
    _require_label(label)
    if len(salt) != SALT_BYTES:
        raise Malformed("a salt has 16 bytes")


def challenge(core: LeafCore) -> bytes:
    """Return the 32 bytes that a touch signs: SHA-256("ownerd/" ‖ kind ‖ "/v1" ‖ 0x00 ‖ JCS(core))."""
    return hashlib.sha256(f"ownerd/{core.kind}/v1\x00".encode() + _encode_core(core)).digest()


def core_digest(core: LeafCore) -> bytes:
    """SHA-256(JCS(core)): what an opening is bound to."""
    return hashlib.sha256(_encode_core(core)).digest()


def format_core(core: LeafCore) -> bytes:
    """Encode a core canonically. Raises `Malformed` for a core that no leaf may hold."""
    _read_core(_core_json(core))
    return _encode_core(core)


def _encode_core(core: LeafCore) -> bytes:
    # Not checked, because verification hashes what it has just parsed; `format_leaf` checks what is written.
    return format_plain(_core_json(core))


def format_leaf(leaf: Leaf) -> bytes:
    """Encode a leaf canonically. Raises `Malformed` for a leaf that `parse_leaf` would not read back."""
    value = {
        "v": VERSION,
        "core": _core_json(leaf.core),
        "approval": None if leaf.approval is None else approval_json(leaf.approval),
        "outcome": _commitments_json(leaf.outcome),
        "vault": {"generation": leaf.vault_generation, "digest": format_b64u(leaf.vault_digest)},
        "opening": None if leaf.opening is None else format_b64u(leaf.opening),
    }
    _read_leaf(value)
    data = format_plain(value)
    if len(data) > MAX_LEAF_BYTES:
        raise Malformed("the leaf is too large")
    return data


def parse_leaf(data: bytes) -> Leaf:
    """Read a leaf; exact inverse of `format_leaf`.

    Raises `Malformed` unless the bytes are canonical, at most `MAX_LEAF_BYTES`, and every member is known
    and of its form.
    """
    # Every member name and number of a leaf is known, so the fast encoder is exact here.
    return _read_leaf(parse_canonical(data, max_bytes=MAX_LEAF_BYTES, encode=format_plain))


def _core_json(core: LeafCore) -> dict[str, Json]:
    return {
        "log": core.log,
        "time": core.time,
        "kind": str(core.kind),
        "nonce": format_b64u(core.nonce),
        "size": core.size,
        "root": format_b64u(core.root),
        "commitments": _commitments_json(core.commitments),
        "facts": dict(core.facts),
    }


def _commitments_json(commitments: Mapping[str, bytes]) -> dict[str, Json]:
    return {label: format_b64u(digest) for label, digest in commitments.items()}


def _read_leaf(value: Json) -> Leaf:
    members = Members(value, ("v", "core", "approval", "outcome", "vault", "opening"))
    if members.count("v") != VERSION:
        raise Malformed("leaf is of an unknown version")
    core = _read_core(members.value("core"))
    outcome = _read_commitments(members.value("outcome"))
    if core.commitments.keys() & outcome.keys():
        raise Malformed("a label stands both before and after the touch")
    vault = Members(members.value("vault"), ("generation", "digest"))
    approval, opening = members.value("approval"), members.value("opening")
    return Leaf(
        core=core,
        approval=None if approval is None else read_approval(approval),
        outcome=outcome,
        vault_generation=vault.count("generation"),
        vault_digest=vault.data("digest", HASH_BYTES),
        opening=None if opening is None else require_data(opening, HASH_BYTES),
    )


def _read_core(value: Json) -> LeafCore:
    names = ("log", "time", "kind", "nonce", "size", "root", "commitments", "facts")
    members = Members(value, names)
    log, time = members.text("log"), members.text("time")
    if not _LOG.fullmatch(log):
        raise Malformed("log id is not 32 hex digits")
    try:
        parse_time(time)
        kind = Kind(members.text("kind"))
    except (InvalidArgument, ValueError) as error:
        raise Malformed("time or kind is unknown") from error
    require_facts(kind, members.value("facts"))
    return LeafCore(
        log=log,
        time=time,
        kind=kind,
        nonce=members.data("nonce", NONCE_BYTES),
        size=members.count("size"),
        root=members.data("root", HASH_BYTES),
        commitments=_read_commitments(members.value("commitments")),
        facts=members.value("facts"),
    )


def _require_label(label: str) -> None:
    if not _LABEL.fullmatch(label):
        raise Malformed("label is not of its form")


def _read_commitments(value: Json) -> dict[str, bytes]:
    if not isinstance(value, dict) or len(value) > MAX_COMMITMENTS:
        raise Malformed("commitments are not an object, or too many")
    for label in value:
        _require_label(label)
    return {label: require_data(digest, HASH_BYTES) for label, digest in value.items()}
