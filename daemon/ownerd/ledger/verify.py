"""Verification of a whole ledger from its rows alone: no daemon, no token, no key but the public ones in it.

`verify_ledger` walks the three tables once, side by side, with flat memory. Damage never stops it: everything it
meets is a finding that names the entry. What it rests on, and what it cannot prove, is in docs/LEDGER.md.

Signatures are settled by whom the caller names: in place, or elsewhere while the walk goes on as if they held. A walk
in which one did not hold is repeated by that caller with what is known by then (`ownerctl.cores`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Literal

from msgspec import Struct

from ownerd.ledger.anchor import claimed_sizes
from ownerd.ledger.entry import origin
from ownerd.ledger.facts import MAY_BE_UNSIGNED
from ownerd.ledger.findings import Damage, Finding, Findings
from ownerd.ledger.history import History
from ownerd.ledger.log_keys import LogKey, LogKeys, read_checkpoint
from ownerd.ledger.merkle import EMPTY_ROOT, leaf_hash
from ownerd.ledger.note import parse_checkpoint, parse_note
from ownerd.ledger.reading import Entry, read_entry
from ownerd.ledger.rows import Row, Rows
from ownerd.ledger.rules import Rules
from ownerd.ledger.signatures import Settle, holds
from ownerd.model.errors import BadSignature, InvalidArgument, LedgerError, Malformed
from ownerd.model.names import Kind

Origin = Literal["proven", "self-consistent, origin unproven"]

PROGRESS_STEP: Final = 256

_OPENS_VAULT: Final = frozenset({Kind.UNLOCKED, Kind.RESTORED})


class Report(Struct, frozen=True):
    """What verification found.

    ``root`` is None when damage leaves it unknown. ``checkpoints`` and ``approvals`` count those that were verified;
    ``unsigned_tail`` counts entries after the last of these checkpoints; ``erased`` counts openings. ``verifier_key`` is
    the newest of the log's keys, ``rotations`` counts those that were followed. ``proven_by`` is the entry that put the
    key in force that was given (0: genesis); None where the origin is not proven.
    """

    log_id: str | None
    verifier_key: str | None
    origin: Origin
    proven_by: int | None
    rotations: int
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
    settle: Settle = holds,
) -> Report:
    """Verify a ledger from rows in ascending order: (seq, leaf), (size, note), (seq, ciphertext).

    ``verifier_key`` is a key of the log as it was printed, at set-up or after a rotation; ``heads`` are signed checkpoints that were
    kept elsewhere. ``progress`` is called now and then with the number of entries done. ``settle`` says whether the
    signature of an approval or a checkpoint holds. Raises `InvalidArgument`
    when ``verifier_key`` is not a key; all else is in the report.
    """
    try:
        keys = LogKeys(verifier_key)
    except Malformed as error:
        raise InvalidArgument("not a verifier key") from error
    return _Verification(entries, checkpoints, openings, keys, heads, settle).run(progress)


class _Verification:
    """One walk through one ledger."""

    def __init__(
        self,
        entries: Iterable[Row],
        checkpoints: Iterable[Row],
        openings: Iterable[Row],
        keys: LogKeys,
        heads: Iterable[bytes],
        settle: Settle,
    ) -> None:
        self._findings = Findings()
        self._entries = Rows("entry", entries, self._findings)
        self._checkpoints = Rows("checkpoint", checkpoints, self._findings)
        self._openings = Rows("opening", openings, self._findings)
        self._history = History()
        self._rules = Rules(self._findings, keys, settle)
        self._keys = keys
        self._settle = settle
        self._has_genesis = False
        self._proven_by: int | None = None
        self._unknown: list[int] = []  # first and last entry of checkpoints in a row by another key
        self._heads = list(heads)
        self._roots: dict[int, bytes | None] = {0: EMPTY_ROOT}
        self._wanted = claimed_sizes(self._heads)
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
        history, key = self._history, self._keys.in_force
        return Report(
            log_id=self._rules.log_id,
            verifier_key=None if key is None else key.text,
            origin="self-consistent, origin unproven" if self._proven_by is None else "proven",
            proven_by=self._proven_by,
            rotations=self._keys.rotations,
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
            leaf = read_entry(data)
        except LedgerError as error:
            self._findings.add(Damage.NOT_CANONICAL, seq, str(error))
            leaf = None
        # (2) The log names itself and its key before anything else.
        if seq == 0:
            self._genesis(leaf)
        if self._openings.has_before(seq) or self._checkpoints.has_before(seq + 1):
            self._stray(seq)
        ciphertext = self._openings.take(seq)
        if leaf is not None:
            self._rules.entry(seq, leaf, self._history)
            self._rules.opening(seq, leaf, ciphertext)
            self._times = [self._times[0] or leaf.time, max(self._times[1] or "", leaf.time)]
        moved = self._history.append(leaf_hash(data), None if leaf is None else leaf.time)
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
            self._require_signed(seq, leaf.kind, signed=note is not None)

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

    def _genesis(self, leaf: Entry | None) -> None:
        if leaf is None or leaf.kind is not Kind.GENESIS:
            self._findings.add(Damage.BAD_GENESIS, 0, "the log does not begin with a genesis entry")
            return
        self._has_genesis = True
        key = self._keys.begin(leaf.facts)
        if key.name != origin(leaf.log) or leaf.approval is not None:
            self._findings.add(Damage.BAD_GENESIS, 0, "the genesis entry contradicts itself")

    def _checkpoint(self, data: bytes) -> None:
        """Verify the checkpoint of the present size (rule 10)."""
        size, key = self._history.size, self._keys.in_force
        if key is None:
            return  # the missing genesis is a finding already
        root = self._history.root()
        expected = None if root is None else key.check_of(size, root, data)
        if root is not None and expected is not None and self._settle(expected):
            self._holds(key, root)
            return
        try:
            note = parse_note(data)
            if not key.signs(note):
                self._unknown = [*self._unknown[:1], size - 1]
                return
            if len(note.signatures) != 1:
                raise Malformed("a stored checkpoint has one signature")
            found = parse_checkpoint(note.text)
            if found.origin != key.key.name:
                raise BadSignature("checkpoint is of another log")
            if found.size != size:
                raise BadSignature("checkpoint is of another size")
            if not self._settle(key.check(size, found.root, note.signatures[0].signature)):
                raise BadSignature("note signature does not hold")
        except LedgerError as error:
            self._findings.add(Damage.BAD_CHECKPOINT, size - 1, str(error))
            return
        self._holds(key, found.root)

    def _holds(self, key: LogKey, root: bytes) -> None:
        """Take the root of a verified checkpoint of the present size."""
        self._name_unknown()
        if self._keys.is_given(key):
            self._proven_by = key.since
        first = self._history.signed_size
        self._signed += 1
        if not self._history.sign(root):
            sentence = "not what the checkpoint after it signed"
            self._findings.add(Damage.ROOT_MISMATCH, first, sentence, last=self._history.size - 1)

    def _name_unknown(self) -> None:
        """Name checkpoints by another key as one finding: a rotation that is missing or not approved has many."""
        if self._unknown:
            sentence = "not signed by the key in force"
            self._findings.add(Damage.BAD_CHECKPOINT, self._unknown[0], sentence, last=self._unknown[-1])
        self._unknown = []

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
        self._name_unknown()
        if self._keys.is_stranger_given and self._has_genesis:
            sentence = "no entry puts the key in force that was given"
            self._findings.add(Damage.WRONG_VERIFIER_KEY, 0, sentence)
        for head in self._heads:
            self._head(head)

    def _head(self, data: bytes) -> None:
        """Compare a checkpoint that was kept elsewhere (rule 11)."""
        if self._keys.in_force is None:
            return
        try:
            note = parse_note(data)
            key = self._keys.signer(note)
            head = read_checkpoint(note, key)
        except LedgerError as error:
            self._findings.add(Damage.BAD_HEAD, None, str(error))
            return
        if head.size > self._history.size:
            sentence = f"a head kept elsewhere signed {head.size} entries"
            self._findings.add(Damage.ROLLED_BACK, self._history.size, sentence, last=head.size - 1)
        elif self._roots.get(head.size) not in (None, head.root) or not self._keys.fits(key, head.size):
            sentence = f"a head kept elsewhere signed another history of {head.size} entries"
            self._findings.add(Damage.FORKED, 0, sentence, last=head.size - 1)
