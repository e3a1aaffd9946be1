"""What verification finds: one name per class of damage, the entries it concerns and one sentence.

The names are part of the format's documentation (docs/LEDGER.md); a test holds the two together.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Final

from msgspec import Struct

MAX_PER_NAME: Final = 100


class Damage(StrEnum):
    """Names of findings, grouped as docs/LEDGER.md groups them."""

    # rows
    UNREADABLE = "Unreadable"
    DAMAGED_WAL = "DamagedWal"
    MISSING_WAL = "MissingWal"
    GAP = "Gap"
    EXTRA_ROW = "ExtraRow"
    NOT_CANONICAL = "NotCanonical"
    # the log as a whole
    BAD_GENESIS = "BadGenesis"
    WRONG_LOG = "WrongLog"
    WRONG_VERIFIER_KEY = "WrongVerifierKey"
    # order and history
    TIME_BACKWARDS = "TimeBackwards"
    REORDERED = "Reordered"
    TOO_LATE = "TooLate"
    REPLAYED = "Replayed"
    WRONG_HISTORY = "WrongHistory"
    # checkpoints and heads kept elsewhere
    BAD_CHECKPOINT = "BadCheckpoint"
    MISSING_CHECKPOINT = "MissingCheckpoint"
    ROOT_MISMATCH = "RootMismatch"
    TRUNCATED = "Truncated"
    BAD_HEAD = "BadHead"
    ROLLED_BACK = "RolledBack"
    FORKED = "Forked"
    # approvals
    MISSING_APPROVAL = "MissingApproval"
    BAD_APPROVAL = "BadApproval"
    BAD_TOKEN = "BadToken"
    BAD_ROTATION = "BadRotation"
    BAD_GRANT = "BadGrant"
    BAD_DELIVERY = "BadDelivery"
    BAD_RECEIPT = "BadReceipt"
    # openings
    BAD_OPENING = "BadOpening"
    EXTRA_OPENING = "ExtraOpening"
    MISSING_OPENING = "MissingOpening"
    BAD_ERASURE = "BadErasure"


class Finding(Struct, frozen=True):
    """One piece of damage in entries ``first`` … ``last``; both None where it concerns no entry."""

    name: Damage
    first: int | None
    last: int | None
    sentence: str

    def __str__(self) -> str:
        """One line for people, without a full stop."""
        if self.first is None:
            return f"{self.name}: {self.sentence}"
        entries = f"entry {self.first}" if self.first == self.last else f"entries {self.first} to {self.last}"
        return f"{self.name}: {entries}: {self.sentence}"


class Findings:
    """Collects findings; of each name the first `MAX_PER_NAME` are kept and the others counted."""

    def __init__(self) -> None:
        self._kept: list[Finding] = []
        self._seen: Counter[Damage] = Counter()

    def add(self, name: Damage, first: int | None, sentence: str, *, last: int | None = None) -> None:
        """Note damage in entry ``first``, or in ``first`` … ``last``."""
        self._seen[name] += 1
        if self._seen[name] <= MAX_PER_NAME:
            self._kept.append(Finding(name, first, first if last is None else last, sentence))

    @property
    def kept(self) -> tuple[Finding, ...]:
        """The findings in the order in which they were met."""
        return tuple(self._kept)

    @property
    def left_off(self) -> int:
        """How many findings were met and not kept."""
        return self._seen.total() - len(self._kept)
