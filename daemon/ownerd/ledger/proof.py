r"""Proofs to hand out: one entry, its place in a signed tree, and as much of its opening as the owner chose.

::

    {"leaf":b64u,
     "opened":{label:{"salt":b64u,"value":JSON}, …},
     "proof":"c2sp.org/tlog-proof@v1\nindex 5\n<base64>\n…\n\n<checkpoint>",
     "v":1}

One line of canonical JSON (RFC 8785) and a newline. ``proof`` is a C2SP tlog-proof (https://c2sp.org/tlog-proof)
without extra data, of the entry whose bytes are ``leaf``; other programs check these two. ``opened`` are openings of
some of the leaf's commitments; those that are not in it stay closed. What a proof proves is in docs/LEDGER.md,
section 10. Nothing here trusts its input; only `verify_proof` says that something is so.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from ownerd.ledger.entry import MAX_LAG, MAX_LEAF_BYTES, SALT_BYTES, Leaf, commit, origin, parse_leaf
from ownerd.ledger.merkle import HASH_BYTES, leaf_hash, verify_inclusion
from ownerd.ledger.note import (
    MAX_SIZE,
    Checkpoint,
    VerifierKey,
    parse_checkpoint,
    parse_note,
    verify_note,
)
from ownerd.ledger.opening import MAX_OPENING_BYTES, OpeningValue
from ownerd.ledger.shape import Members, format_b64u, format_canonical, parse_canonical
from ownerd.model.errors import BadSignature, Malformed, Tampered

MAX_PROOF_BYTES: Final = MAX_OPENING_BYTES + (1 << 18)
MAX_HASHES: Final = 63  # the longest path in a tree of 2^63 leaves

_FIRST_LINE: Final = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})", re.ASCII)
_VERSION: Final = 1


class TlogProof(Struct, frozen=True):
    """A C2SP tlog-proof: an index, the inclusion proof (32-byte hashes, leaf first) and a signed checkpoint."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes


class Proof(Struct, frozen=True):
    """A proof as it is handed out; nothing of it is verified."""

    leaf: bytes
    tlog: TlogProof
    opened: Mapping[str, OpeningValue]


class Proven(Struct, frozen=True):
    """What `verify_proof` found to be so.

    ``signed`` is False where no key was given: then nobody vouches for the tree. ``closed`` are labels of the
    commitments that the proof does not open.
    """

    leaf: Leaf
    index: int
    checkpoint: Checkpoint
    signed: bool
    opened: Mapping[str, OpeningValue]
    closed: tuple[str, ...]


def format_tlog_proof(proof: TlogProof) -> str:
    """Write a tlog-proof. Raises `Malformed` for what `parse_tlog_proof` would not read back."""
    parse_note(proof.checkpoint)
    lines = [_FIRST_LINE, f"index {proof.index}", *(base64.b64encode(one).decode() for one in proof.hashes)]
    text = "\n".join(lines) + "\n\n" + proof.checkpoint.decode("utf-8")
    if parse_tlog_proof(text) != proof:
        raise Malformed("not a proof")
    return text


def parse_tlog_proof(text: str) -> TlogProof:
    """Read a tlog-proof without extra data; exact inverse of `format_tlog_proof`. Raises `Malformed`."""
    head, blank, checkpoint = text.partition("\n\n")
    first, *lines = head.split("\n")
    if not blank or first != _FIRST_LINE or not lines:
        raise Malformed("not a tlog-proof")
    index = _INDEX.fullmatch(lines[0])
    if index is None or int(index[1]) > MAX_SIZE:
        raise Malformed("the index of the proof is not one")
    if len(lines) - 1 > MAX_HASHES:
        raise Malformed("proof is too long")
    data = checkpoint.encode("utf-8")
    parse_note(data)
    return TlogProof(int(index[1]), tuple(_hash(line) for line in lines[1:]), data)


def _hash(line: str) -> bytes:
    try:
        data = binascii.a2b_base64(line.encode("ascii"), strict_mode=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise Malformed("a hash of the proof is not base64") from error
    if len(data) != HASH_BYTES or base64.b64encode(data).decode() != line:
        raise Malformed("a hash in a proof has 32 bytes")
    return data


def format_proof(proof: Proof) -> bytes:
    """Write a proof file. Raises `Malformed`."""
    value = {
        "v": _VERSION,
        "leaf": format_b64u(proof.leaf),
        "proof": format_tlog_proof(proof.tlog),
        "opened": {
            label: {"salt": format_b64u(one.salt), "value": one.value} for label, one in proof.opened.items()
        },
    }
    data = format_canonical(value) + b"\n"
    parse_proof(data)
    return data


def parse_proof(data: bytes) -> Proof:
    """Read a proof file; exact inverse of `format_proof`. Raises `Malformed`. Verifies nothing."""
    if not data.endswith(b"\n"):
        raise Malformed("the proof is cut off")
    members = Members(parse_canonical(data[:-1], max_bytes=MAX_PROOF_BYTES), ("v", "leaf", "proof", "opened"))
    if members.count("v") != _VERSION:
        raise Malformed("the proof is of an unknown version")
    opened = members.value("opened")
    if not isinstance(opened, dict):
        raise Malformed("what is opened is not an object")
    values = {}
    for label, value in opened.items():
        one = Members(value, ("salt", "value"))
        values[label] = OpeningValue(one.data("salt", SALT_BYTES), one.value("value"))
    text = members.text("proof", max_chars=MAX_PROOF_BYTES)
    return Proof(members.data("leaf", max_bytes=MAX_LEAF_BYTES), parse_tlog_proof(text), values)


def make_proof(
    leaf: bytes, index: int, hashes: Sequence[bytes], checkpoint: bytes, opened: Mapping[str, OpeningValue]
) -> Proof:
    """Put a proof together, verified but for the signature. Raises as `verify_proof`."""
    proof = Proof(leaf, TlogProof(index, tuple(hashes), checkpoint), dict(opened))
    verify_proof(proof, None)
    return proof


def verify_proof(proof: Proof, key: VerifierKey | None) -> Proven:
    """Verify a proof, its checkpoint's signature too where the log's ``key`` is given.

    Raises `BadSignature` (another key, or it does not hold), `Tampered` (not in that tree, or an opened value is
    not the committed one) or `Malformed`.
    """
    note = parse_note(proof.tlog.checkpoint)
    # (1) The log's key signed the tree.
    if key is not None:
        verify_note(note, key)
    checkpoint = parse_checkpoint(note.text)
    if key is not None and checkpoint.origin != key.name:
        raise BadSignature("checkpoint is of another log")
    # (2) The leaf's bytes are in that tree, at that place.
    index = proof.tlog.index
    verify_inclusion(leaf_hash(proof.leaf), index, checkpoint.size, proof.tlog.hashes, checkpoint.root)
    # (3) They are an entry of this log that may stand there.
    leaf = parse_leaf(proof.leaf)
    if origin(leaf.core.log) != checkpoint.origin:
        raise Tampered("the entry is of another log than its tree")
    if not 0 <= index - leaf.core.size <= MAX_LAG:
        raise Tampered("the entry was made for another place")
    # (4) What is opened is what the entry commits to.
    committed = {**leaf.core.commitments, **leaf.outcome}
    for label, one in proof.opened.items():
        if label not in committed:
            raise Tampered("a value is opened that the entry did not commit to")
        if commit(label, one.salt, one.value) != committed[label]:
            raise Tampered("an opened value is not the one that the entry commits to")
    closed = tuple(sorted(committed.keys() - proof.opened.keys()))
    return Proven(leaf, index, checkpoint, key is not None, dict(proof.opened), closed)


__all__ = [
    "MAX_PROOF_BYTES",
    "Proof",
    "Proven",
    "TlogProof",
    "format_proof",
    "format_tlog_proof",
    "make_proof",
    "parse_proof",
    "parse_tlog_proof",
    "verify_proof",
]
