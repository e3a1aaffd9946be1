"""The quick verification: every leaf's bytes hashed, the root, the newest checkpoint, and nothing that a leaf says.

It proves that the entries are, byte for byte, those that the log's key signed in its newest checkpoint, and says how
many came after it. It reads no leaf but the ones that name keys, so it says nothing about approvals, grants, times,
openings and older checkpoints: `ledger.verify` does. Keys that rotations name are believed here, approved or not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from ownerd.ledger.entry import parse_leaf
from ownerd.ledger.findings import Damage, Finding, Findings
from ownerd.ledger.log_keys import LogKey, read_checkpoint
from ownerd.ledger.merkle import EMPTY_ROOT, Frontier
from ownerd.ledger.note import SignedNote, VerifierKey, parse_note, parse_verifier_key
from ownerd.ledger.rows import Row
from ownerd.model.errors import BadSignature, InvalidArgument, LedgerError, Malformed, StorageError
from ownerd.model.names import Kind

_CHUNK: Final = 1024  # leaves; a power of two, so that each full chunk is a perfect tree
_NAMES_KEY: Final = b'"verifier_key":"'


class QuickReport(Struct, frozen=True):
    """``root`` is of all entries; ``signed`` of them are under the newest checkpoint; the key is the one that signed it."""

    entries: int
    signed: int
    root: bytes
    verifier_key: str | None
    key_was_given: bool
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def verify_quickly(
    leaves: Iterable[Sequence[Row]], checkpoint: Row | None, *, verifier_key: str | None = None
) -> QuickReport:
    """Verify (seq, leaf) rows, in ascending order and chunks of any length, against the newest checkpoint's row.

    Raises `InvalidArgument` when ``verifier_key`` is not a key.
    """
    findings = Findings()
    try:
        keys = [] if verifier_key is None else [(verifier_key, parse_verifier_key(verifier_key))]
    except Malformed as error:
        raise InvalidArgument("not a verifier key") from error
    tree = _Tree(0 if checkpoint is None else checkpoint[0])
    named: list[str] = []
    try:
        for rows in _chunks(leaves):
            places, chunk = zip(*rows, strict=True)
            if not findings.kept and places != tuple(range(tree.size, tree.size + len(rows))):
                findings.add(Damage.GAP, tree.size, "rows are missing here, or out of order")
            if verifier_key is None:
                named += _named_keys(chunk)
            tree.extend(chunk)
    except StorageError:
        findings.add(Damage.UNREADABLE, None, "table entry cannot be read to its end")
    if verifier_key is None:
        keys = [(text, parse_verifier_key(text)) for text in named]
    signer = _newest(findings, tree, checkpoint, keys)
    signed = 0 if checkpoint is None or signer is None else checkpoint[0]
    return QuickReport(tree.size, signed, tree.root, signer, verifier_key is not None, findings.kept)


def _newest(
    findings: Findings, tree: _Tree, checkpoint: Row | None, keys: list[tuple[str, VerifierKey]]
) -> str | None:
    """Judge the newest checkpoint; the text of the key that signed it."""
    if checkpoint is None or not tree.size:
        findings.add(Damage.MISSING_CHECKPOINT, 0, "the log has no checkpoint, or no entry")
        return None
    size, data = checkpoint
    try:
        note = parse_note(data)
        text, key = _signer(note, keys)
        found = read_checkpoint(note, LogKey(-1, text, key))
        if found.size != size:
            raise BadSignature("checkpoint is of another size")
    except LedgerError as error:
        findings.add(Damage.BAD_CHECKPOINT, size - 1, str(error))
        return None
    if tree.size < size:
        findings.add(Damage.TRUNCATED, tree.size, "the newest checkpoint signed more entries", last=size - 1)
    elif tree.signed_root != found.root:
        findings.add(Damage.ROOT_MISMATCH, 0, "not what the newest checkpoint signed", last=size - 1)
    return text


def _signer(note: SignedNote, keys: list[tuple[str, VerifierKey]]) -> tuple[str, VerifierKey]:
    for text, key in reversed(keys):
        if LogKey(-1, text, key).signs(note):
            return text, key
    raise BadSignature("not signed by a key that the log names, or that was given")


def _named_keys(leaves: Sequence[bytes]) -> list[str]:
    """Verifier keys that genesis and rotations among these leaves name."""
    found = []
    for leaf in [leaf for leaf in leaves if _NAMES_KEY in leaf]:
        try:
            core = parse_leaf(leaf).core
        except LedgerError:
            continue
        if core.kind in (Kind.GENESIS, Kind.KEY_ROTATED, Kind.RESTORED) and core.facts:
            found.append(str(core.facts["verifier_key"]))
    return found


def _chunks(leaves: Iterable[Sequence[Row]]) -> Iterator[Sequence[Row]]:
    """The same rows in chunks of `_CHUNK`, the last one shorter."""
    held: list[Row] = []
    for rows in leaves:
        if not held and len(rows) == _CHUNK:
            yield rows
            continue
        held.extend(rows)
        while len(held) >= _CHUNK:
            yield held[:_CHUNK]
            held = held[_CHUNK:]
    if held:
        yield held


class _Tree:
    """The tree's root, and its root at one earlier size, from whole chunks of leaves."""

    def __init__(self, signed: int) -> None:
        self.size = 0
        self._signed = signed
        self._chunks = Frontier()  # of the roots of full chunks
        self._last = Frontier()
        self.signed_root: bytes | None = None

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Add a chunk; all but the last are full."""
        sha256 = hashlib.sha256
        level = [sha256(b"\x00" + leaf).digest() for leaf in leaves]
        if self.size < self._signed < self.size + len(level):
            self.signed_root = self._root_with(level[: self._signed - self.size])
        self.size += len(level)
        if len(level) == _CHUNK:
            while len(level) > 1:
                level = [
                    sha256(b"\x01" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=True)
                ]
            self._chunks.append(level[0])
        else:
            self._last = Frontier.from_leaf_hashes(level)
        if self.size == self._signed:
            self.signed_root = self.root

    def _root_with(self, level: list[bytes]) -> bytes:
        return self._chunks.joined(Frontier.from_leaf_hashes(level))

    @property
    def root(self) -> bytes:
        """Root of all leaves so far."""
        return self._chunks.joined(self._last) if self.size else EMPTY_ROOT


__all__ = ["QuickReport", "verify_quickly"]
