r"""What another device does before it cosigns: C2SP tlog-witness, its ``add-checkpoint`` request as a file.

The file that the owner carries over holds what the witness is to have seen, the proof that the log only grew since, and the
new checkpoint::

    old 20
    <base64 of a hash, from the leaves up>

    ownerd/0123456789abcdef0123456789abcdef
    25
    …

A bare checkpoint counts as one without proof. Specification: https://c2sp.org/tlog-witness. Pure; trusts nothing.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from ownerd.ledger.log_keys import LogKey, read_checkpoint
from ownerd.ledger.merkle import EMPTY_ROOT, HASH_BYTES, verify_consistency
from ownerd.ledger.note import (
    MAX_NOTE_BYTES,
    Checkpoint,
    VerifierKey,
    format_base64,
    parse_base64,
    parse_checkpoint,
    parse_note,
)
from ownerd.model.errors import Forked, Malformed, NotFound, RolledBack, Tampered

MAX_PROOF_LINES: Final = 63  # as the specification has it
MAX_REQUEST_BYTES: Final = MAX_NOTE_BYTES

_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})", re.ASCII)


class WitnessRequest(Struct, frozen=True):
    """``old`` entries are to have been seen; ``proof``: hashes of 32 bytes; ``note``: the signed checkpoint."""

    old: int
    proof: tuple[bytes, ...]
    note: bytes


def format_request(request: WitnessRequest) -> bytes:
    """Write the file. Raises `Malformed` for what `parse_request` would not read back."""
    if request.old < 0 or len(request.proof) > MAX_PROOF_LINES:
        raise Malformed("the proof is too long, or the old size is none")
    if any(len(one) != HASH_BYTES for one in request.proof):
        raise Malformed("a hash in a proof has 32 bytes")
    parse_checkpoint(parse_note(request.note).text)
    lines = [f"old {request.old}", *map(format_base64, request.proof), "", ""]
    return "\n".join(lines).encode() + request.note


def parse_request(data: bytes) -> WitnessRequest:
    """Read the file; exact inverse of `format_request`. Raises `Malformed`."""
    if len(data) > MAX_REQUEST_BYTES:
        raise Malformed("the file is too large")
    head, blank, note = data.partition(b"\n\n")
    if not blank:
        raise Malformed("the file has no checkpoint")
    try:
        first, *rest = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise Malformed("the proof is not text") from error
    old = _OLD.fullmatch(first)
    if old is None or len(rest) > MAX_PROOF_LINES:
        raise Malformed("the file does not begin with the old size, or its proof is too long")
    proof = tuple(parse_base64(line) for line in rest)
    if any(len(one) != HASH_BYTES for one in proof):
        raise Malformed("a hash in a proof has 32 bytes")
    parse_checkpoint(parse_note(note).text)
    return WitnessRequest(int(old[1]), proof, note)


def read_request(data: bytes) -> WitnessRequest:
    """Read what the owner carried over: a request, or a checkpoint alone. Raises `Malformed`."""
    if data.startswith(b"old "):
        return parse_request(data)
    found = parse_checkpoint(parse_note(data).text)
    return WitnessRequest(found.size, (), data)


def verify_growth(request: WitnessRequest, key: VerifierKey, seen: Checkpoint | None) -> Checkpoint:
    """Return the new checkpoint when ``key`` signed it and it continues ``seen``, which this device saw last.

    Raises `RolledBack` for an older one, `Forked` for another history, `NotFound` where the proof is not the one from
    ``seen`` on, else `LedgerError`.
    """
    found = read_checkpoint(parse_note(request.note), LogKey(-1, "", key))
    if seen is None:
        return found  # the first that this device sees of the log: there is nothing to compare it with
    if seen.origin != found.origin:
        raise Malformed("the checkpoint is of another log")
    if found.size < seen.size:
        raise RolledBack(f"it signs {found.size} entries; this device has seen {seen.size} signed")
    if found.size == seen.size:
        if found.root != seen.root:
            raise Forked(f"it signs another history of {found.size} entries than the one seen before")
        return found
    if request.old != seen.size and seen.size > 0:
        raise NotFound(f"it needs a proof from {seen.size} entries on, which is what this device saw last")
    first = seen.root if seen.size else EMPTY_ROOT
    try:
        verify_consistency(seen.size, found.size, first, found.root, request.proof)
    except Tampered as error:
        raise Forked(f"it does not continue the {seen.size} entries that were seen before") from error
    return found
