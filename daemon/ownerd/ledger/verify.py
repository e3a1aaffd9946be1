"""Verification of a whole ledger from its rows alone: no daemon, no token, no key but the public ones in it.

`verify_ledger` walks the three tables once, side by side, with flat memory. Damage never stops it: everything it
meets is a finding that names the entry. What it rests on, and what it cannot prove, is in docs/LEDGER.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from ownerd.ledger.entry import Leaf, origin, parse_leaf
from ownerd.ledger.facts import MAY_BE_UNSIGNED
from ownerd.ledger.findings import Damage, Finding, Findings
from ownerd.ledger.history import History
from ownerd.ledger.merkle import EMPTY_ROOT, leaf_hash
from ownerd.ledger.note import (
    Checkpoint,
    VerifierKey,
    parse_checkpoint,
    parse_note,
    parse_verifier_key,
    verify_note,
)
from ownerd.ledger.rows import Row, Rows
from ownerd.ledger.rules import Rules
from ownerd.model.errors import BadSignature, InvalidArgument, LedgerError, Malformed
from ownerd.model.names import Kind

Origin = Literal["proven", "self-consistent, origin unproven"]

PROGRESS_STEP: Final = 256

_OPENS_VAULT: Final = frozenset({Kind.UNLOCKED, Kind.RESTORED})


@dataclass(frozen=True, slots=True)
class Report:
    """What verification found.

    ``root`` is None when damage leaves it unknown. ``checkpoints`` and ``approvals`` count those that were verified;
    ``unsigned_tail`` counts entries after the last of these checkpoints; ``erased`` counts openings.
    """

    log_id: str | None
    verifier_key: str | None
    origin: Origin
    entries: int
    checkpoints: int
    root: bytes | None
    approvals: int
    unsigned_tail: int
    erased: int
    first_time: str | None
    last_time: str | None
    findings: tuple[Finding, ...]
    findings_left_off: int

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def verify_ledger(
    entries: Iterable[Row],
    checkpoints: Iterable[Row],
    openings: Iterable[Row],
    *,
    verifier_key: str | None = None,
    heads: Iterable[bytes] = (),
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Verify a ledger from rows in ascending order: (seq, leaf), (size, note), (seq, ciphertext).

    ``verifier_key`` is the log's key as it was printed at set-up; ``heads`` are signed checkpoints that were
    kept elsewhere. ``progress`` is called now and then with the number of entries done. Raises `InvalidArgument`
    when ``verifier_key`` is not a key; all else is in the report.
    """
    if verifier_key is not None:
        try:
            parse_verifier_key(verifier_key)
        except Malformed as error:
            raise InvalidArgument("not a verifier key") from error
    return _Verification(entries, checkpoints, openings, verifier_key, heads).run(progress)


class _Verification:
    """One walk through one ledger."""

    def __init__(
        self,
        entries: Iterable[Row],
        checkpoints: Iterable[Row],
        openings: Iterable[Row],
        verifier_key: str | None,
        heads: Iterable[bytes],
    ) -> None:
        self._findings = Findings()
        self._entries = Rows("entry", entries, self._findings)
        self._checkpoints = Rows("checkpoint", checkpoints, self._findings)
        self._openings = Rows("opening", openings, self._findings)
        self._history = History()
        self._rules = Rules(self._findings)
        self._given_key = verifier_key
        self._key_text = verifier_key
        self._key = None if verifier_key is None else parse_verifier_key(verifier_key)
        self._proven = False
        self._heads = list(heads)
        self._roots: dict[int, bytes | None] = {0: EMPTY_ROOT}
        self._wanted = _head_sizes(self._heads)
        self._count = 0
        self._signed = 0
        self._unsigned: int | None = None  # first entry without a checkpoint since the vault was last opened
        self._times: list[str | None] = [None, None]

    def run(self, progress: Callable[[int], None] | None) -> Report:
        """Walk the tables and report."""
        for seq, data in self._entries.until():
            self._entry(seq, data)
            if progress is not None and self._count % PROGRESS_STEP == 0:
                progress(self._count)
        self._end()
        if progress is not None:
            progress(self._count)
        history = self._history
        return Report(
            log_id=self._rules.log_id,
            verifier_key=self._key_text,
            origin="proven" if self._proven and self._signed else "self-consistent, origin unproven",
            entries=self._count,
            checkpoints=self._signed,
            root=history.root(),
            approvals=self._rules.approvals,
            unsigned_tail=history.size - history.signed_size,
            erased=self._rules.erased,
            first_time=self._times[0],
            last_time=self._times[1],
            findings=self._findings.kept,
            findings_left_off=self._findings.left_off,
        )

    def _entry(self, seq: int, data: bytes) -> None:
        if seq < 0:
            self._findings.add(Damage.EXTRA_ROW, None, "table entry has a row before the first entry")
            return
        if seq > self._history.size:
            self._gap(seq)
        self._count += 1
        # (1) The bytes are a leaf, in its one canonical form.
        try:
            leaf = parse_leaf(data)
        except LedgerError as error:
            self._findings.add(Damage.NOT_CANONICAL, seq, str(error))
            leaf = None
        # (2) The log names itself and its key before anything else.
        if seq == 0:
            self._genesis(leaf)
        self._stray(seq)
        ciphertext = self._openings.take(seq)
        if leaf is not None:
            self._rules.entry(seq, leaf, self._history)
            self._rules.opening(seq, leaf, ciphertext)
            self._times = [self._times[0] or leaf.core.time, max(self._times[1] or "", leaf.core.time)]
        moved = self._history.append(leaf_hash(data), None if leaf is None else leaf.core.time)
        if moved is not None:
            self._findings.add(Damage.REORDERED, seq, f"here stands what was signed as entry {moved}")
        if seq + 1 in self._wanted:
            self._roots[seq + 1] = self._history.root()
        note = self._checkpoints.take(seq + 1)
        if note is not None:
            self._checkpoint(note)
        if leaf is None:
            self._unsigned = None  # it may have been the one that opened the vault
        else:
            self._require_signed(seq, leaf.core.kind, signed=note is not None)

    def _require_signed(self, seq: int, kind: Kind, *, signed: bool) -> None:
        """Find checkpoints that are missing (rule 10): only a locked vault writes without one."""
        if kind in MAY_BE_UNSIGNED:
            if not signed and self._unsigned is None:
                self._unsigned = seq
        elif kind is not Kind.GENESIS:  # which is written together with the first token
            if not signed:
                self._findings.add(
                    Damage.MISSING_CHECKPOINT, seq, "an entry of this kind has its own checkpoint"
                )
            if self._unsigned is not None and kind not in _OPENS_VAULT:
                sentence = "the vault was open here, so there was a checkpoint"
                self._findings.add(Damage.MISSING_CHECKPOINT, self._unsigned, sentence)
            self._unsigned = None

    def _stray(self, seq: int) -> None:
        """Name rows that belong to no entry before ``seq``'s own."""
        for one, _ in self._openings.until(seq):
            self._findings.add(
                Damage.EXTRA_OPENING, None, f"an opening is there for entry {one}, which is not"
            )
        for size, _ in self._checkpoints.until(seq + 1):
            self._findings.add(Damage.BAD_CHECKPOINT, None, f"no checkpoint has the size {size}")

    def _gap(self, seq: int) -> None:
        first = self._history.size
        self._findings.add(Damage.GAP, first, "no such rows", last=seq - 1)
        # What belongs to the missing entries is no further damage; their signed roots still serve.
        self._stray(first)
        for size, note in self._checkpoints.until(seq + 1):
            self._history.skip_to(size)
            self._checkpoint(note)
        self._history.skip_to(seq)
        self._unsigned = None
        for _ in self._openings.until(seq):
            pass

    def _genesis(self, leaf: Leaf | None) -> None:
        if leaf is None or leaf.core.kind is not Kind.GENESIS:
            self._findings.add(Damage.BAD_GENESIS, 0, "the log does not begin with a genesis entry")
            return
        core = leaf.core
        key = parse_verifier_key(core.facts["verifier_key"])
        if key.name != origin(core.log) or leaf.approval is not None:
            self._findings.add(Damage.BAD_GENESIS, 0, "the genesis entry contradicts itself")
        if self._given_key is not None:
            self._proven = core.facts["verifier_key"] == self._given_key
            if not self._proven:
                self._findings.add(Damage.WRONG_VERIFIER_KEY, 0, "the log is not of the key that was given")
        self._key, self._key_text = key, core.facts["verifier_key"]

    def _checkpoint(self, note: bytes) -> None:
        """Verify the checkpoint of the present size (rule 10)."""
        size = self._history.size
        if self._key is None:
            return  # the missing genesis is a finding already
        try:
            found, signatures = _open_checkpoint(note, self._key)
            if signatures != 1:
                raise Malformed("a stored checkpoint has one signature")
            if found.origin != self._key.name or found.size != size:
                raise BadSignature("checkpoint is of another log or size")
        except LedgerError as error:
            self._findings.add(Damage.BAD_CHECKPOINT, size - 1, str(error))
            return
        first = self._history.signed_size
        self._signed += 1
        if not self._history.sign(found.root):
            sentence = "not what the checkpoint after it signed"
            self._findings.add(Damage.ROOT_MISMATCH, first, sentence, last=size - 1)

    def _end(self) -> None:
        size = self._history.size
        if self._count == 0:
            self._findings.add(Damage.BAD_GENESIS, None, "the log has no entry")
        elif not self._signed:
            self._findings.add(Damage.MISSING_CHECKPOINT, 0, "the log has no checkpoint that holds")
        self._stray(size)
        beyond = [one for one, _ in self._checkpoints.until()]
        if beyond:
            sentence = "checkpoints are there for entries that are not"
            self._findings.add(Damage.TRUNCATED, size, sentence, last=max(beyond) - 1)
        for one, _ in self._openings.until():
            self._findings.add(
                Damage.EXTRA_OPENING, None, f"an opening is there for entry {one}, which is not"
            )
        self._rules.end()
        for head in self._heads:
            self._head(head)

    def _head(self, note: bytes) -> None:
        """Compare a checkpoint that was kept elsewhere (rule 11)."""
        if self._key is None:
            return
        try:
            head, _ = _open_checkpoint(note, self._key)
            if head.origin != self._key.name:
                raise BadSignature("head is of another log")
        except LedgerError as error:
            self._findings.add(Damage.BAD_HEAD, None, str(error))
            return
        if head.size > self._history.size:
            sentence = f"a head kept elsewhere signed {head.size} entries"
            self._findings.add(Damage.ROLLED_BACK, self._history.size, sentence, last=head.size - 1)
        elif self._roots.get(head.size) not in (None, head.root):
            sentence = f"a head kept elsewhere signed another history of {head.size} entries"
            self._findings.add(Damage.FORKED, 0, sentence, last=head.size - 1)


def _open_checkpoint(note: bytes, key: VerifierKey) -> tuple[Checkpoint, int]:
    """Return a verified checkpoint and how many signatures its note has."""
    parsed = parse_note(note)
    verify_note(parsed, key)
    return parse_checkpoint(parsed.text), len(parsed.signatures)


def _head_sizes(heads: Iterable[bytes]) -> set[int]:
    """Sizes that heads claim, so that the roots there are kept on the way. Verified afterwards."""
    sizes = set()
    for note in heads:
        try:
            sizes.add(parse_checkpoint(parse_note(note).text).size)
        except LedgerError:
            continue  # named when its turn comes
    return sizes
