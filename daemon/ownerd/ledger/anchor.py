"""Heads kept elsewhere against the ledger that is here: what each of them says of it (docs/LEDGER.md, section 8).

A head is a whole signed checkpoint that lay outside the ledger's file: on a token, in a file of the owner's, cosigned by
another device. Pure; trusts nothing in the head. Only a head that was verified says anything, and none proves freshness.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

from ownerd.ledger.log_keys import LogKeys, read_checkpoint
from ownerd.ledger.note import Checkpoint, SignedNote, parse_checkpoint, parse_note
from ownerd.model.errors import BadHead, BadSignature, Forked, LedgerError, RolledBack


class Verdict(StrEnum):
    """What a head says of the ledger that is here."""

    CONSISTENT = "consistent"
    OLDER = "older"
    NEWER = "newer"
    UNKNOWN_KEY = "unknown-key"
    FORKED = "forked"
    FOREIGN = "foreign"
    BAD_SIGNATURE = "bad-signature"
    MALFORMED = "malformed"

    @property
    def agrees(self) -> bool:
        """Whether the ledger continues what the head signed."""
        return self in (Verdict.CONSISTENT, Verdict.OLDER)

    @property
    def tells_loss(self) -> bool:
        """Whether the head may be this log's and tells of entries that are not here."""
        return self in (Verdict.NEWER, Verdict.UNKNOWN_KEY, Verdict.FORKED)


class Ours(Struct, frozen=True):
    """The ledger that is here.

    ``size`` counts its entries, ``signed`` those under its newest checkpoint. ``roots`` are its roots at the sizes that
    `claimed_sizes` found, as far as it has them. ``keys`` are all keys that its entries put in force.
    """

    origin: str
    size: int
    signed: int
    roots: Mapping[int, bytes]
    keys: LogKeys


class Judged(Struct, frozen=True):
    """A verdict. ``size`` is the number of entries that the head claims to sign, None where it is no head at all."""

    verdict: Verdict
    size: int | None
    ours: int

    @property
    def sentence(self) -> str:
        """One sentence for people, without a full stop; no value, no path."""
        return _SENTENCES[self.verdict].format(size=self.size, ours=self.ours)

    def require_agrees(self, where: str) -> None:
        """Raise `RolledBack`, `Forked` or `BadHead` unless the ledger continues the head; ``where`` names the anchor."""
        if not self.verdict.agrees:
            raise _ERRORS.get(self.verdict, BadHead)(f"{where} {self.sentence}")


_SENTENCES: Final = {
    Verdict.CONSISTENT: "signed {size} of the {ours} entries here",
    Verdict.OLDER: "signed {size} of the {ours} entries here; it is older than the newest checkpoint",
    Verdict.NEWER: "signed {size} entries and here are {ours}: this is an older copy of the ledger",
    Verdict.UNKNOWN_KEY: (
        "has {size} entries signed by a key that the {ours} entries here do not know: this is a copy from before"
        " the keys were renewed, or the head is forged"
    ),
    Verdict.FORKED: "signed another history of {size} entries than the one here: two copies were continued, or one is forged",
    Verdict.FOREIGN: "has a head of another ledger",
    Verdict.BAD_SIGNATURE: "has a head of {size} entries whose signature does not hold",
    Verdict.MALFORMED: "has something that is no head",
}
_ERRORS: Final[dict[Verdict, type[LedgerError]]] = {
    Verdict.NEWER: RolledBack,
    Verdict.UNKNOWN_KEY: RolledBack,
    Verdict.FORKED: Forked,
}


def claimed_sizes(notes: Iterable[bytes]) -> set[int]:
    """The sizes that heads claim, so that one walk through the tree yields all their roots. Verified afterwards."""
    sizes = set()
    for note in notes:
        try:
            sizes.add(parse_checkpoint(parse_note(note).text).size)
        except LedgerError:
            continue  # named when its turn comes
    return sizes


def is_signed_by_unknown(note: bytes, origin: str, keys: LogKeys) -> bool:
    """Whether a head of this log names a key that ``keys`` do not have; False for what is no head."""
    try:
        parsed = parse_note(note)
        claimed = parse_checkpoint(parsed.text)
    except LedgerError:
        return False
    return claimed.origin == origin and _is_unknown(parsed, origin, keys)


def judge(note: bytes, ours: Ours) -> Judged:
    """Compare one head with the ledger. ``ours.roots`` has the root of its size where that is within the ledger."""
    try:
        parsed = parse_note(note)
        claimed = parse_checkpoint(parsed.text)
    except LedgerError:
        return Judged(Verdict.MALFORMED, None, ours.size)
    return Judged(_verdict(parsed, claimed, ours), claimed.size, ours.size)


def _verdict(note: SignedNote, claimed: Checkpoint, ours: Ours) -> Verdict:
    if claimed.origin != ours.origin:
        return Verdict.FOREIGN
    if _is_unknown(note, ours.origin, ours.keys):
        return Verdict.UNKNOWN_KEY
    try:
        key = ours.keys.signer(note)
        read_checkpoint(note, key)
    except BadSignature:
        return Verdict.BAD_SIGNATURE
    if claimed.size > ours.size:
        return Verdict.NEWER
    # A key that was renewed signs nothing later, whoever has it still.
    if ours.roots[claimed.size] != claimed.root or not ours.keys.fits(key, claimed.size):
        return Verdict.FORKED
    return Verdict.CONSISTENT if claimed.size >= ours.signed else Verdict.OLDER


def _is_unknown(note: SignedNote, origin: str, keys: LogKeys) -> bool:
    """Whether all that signed in the log's name are keys that ``keys`` do not have, and somebody did."""
    named = [one.key_id for one in note.signatures if one.name == origin]
    return bool(named) and not any(keys.knows(key_id) for key_id in named)
