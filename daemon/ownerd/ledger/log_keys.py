"""The log's keys in the order in which they came into force: genesis's, then one per approved rotation.

A key signs the checkpoints from the entry that names it to the entry before the next rotation. A key that was given
from outside serves until genesis is read, and for heads that were kept elsewhere.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from functools import cached_property

from msgspec import Struct

from ownerd.ledger.entry import origin
from ownerd.ledger.note import (
    Checkpoint,
    SignedNote,
    VerifierKey,
    parse_checkpoint,
    parse_verifier_key,
    verify_note,
)
from ownerd.ledger.signatures import Check
from ownerd.model.encoding import Json
from ownerd.model.errors import BadSignature, Malformed


class LogKey(Struct, frozen=True, dict=True):
    """One key of the log. ``since`` is the entry that put it in force; -1: it was given from outside."""

    since: int
    text: str
    key: VerifierKey

    @cached_property
    def raw(self) -> str:
        """The public key in hexadecimal, as a check names it."""
        return self.key.public.public_bytes_raw().hex()

    @cached_property
    def _around(self) -> tuple[bytes, bytes]:
        """What stands before a checkpoint's size, and between its text and its signature."""
        return f"{self.key.name}\n".encode(), f"\n\u2014 {self.key.name} ".encode()

    def signs(self, note: SignedNote) -> bool:
        """Whether a signature of ``note`` claims to be by this key."""
        return any(one.name == self.key.name and one.key_id == self.key.key_id for one in note.signatures)

    def check_of(self, size: int, root: bytes, note: bytes) -> Check | None:
        """What has to hold for a stored checkpoint that is exactly the one of this size and root; None: it is not.

        What this does not take may still be a checkpoint: it spares parsing the usual one.
        """
        before, after = self._around
        text = b"%b%d\n%b\n" % (before, size, binascii.b2a_base64(root, newline=False))
        line = note.removeprefix(text + after)
        try:
            blob = binascii.a2b_base64(line)
        except binascii.Error:
            return None
        if blob[:4] != self.key.key_id or text + after + binascii.b2a_base64(blob) != note:
            return None
        return "Ed25519", self.raw, blob[4:], text

    def check(self, size: int, root: bytes, signature: bytes) -> Check:
        """What has to hold for a checkpoint of this size and root that this key signed."""
        text = f"{self.key.name}\n{size}\n{_base64(root)}\n".encode()
        return "Ed25519", self.raw, signature, text


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()


class LogKeys:
    """The chain of keys. Damage may hide a link; every link that is there is one that an approved entry made."""

    def __init__(self, given: str | None) -> None:
        self._given = None if given is None else LogKey(-1, given, parse_verifier_key(given))
        self._chain: list[LogKey] = []
        self._opening_keys: set[str] = set()

    @property
    def in_force(self) -> LogKey | None:
        """The newest key; None where neither genesis nor the caller named one."""
        return self._chain[-1] if self._chain else self._given

    @property
    def rotations(self) -> int:
        """How many rotations were followed."""
        return sum(one.since != 0 for one in self._chain)

    @property
    def is_stranger_given(self) -> bool:
        """Whether a key was given and no entry put it in force."""
        return self._given is not None and all(one.text != self._given.text for one in self._chain)

    def is_given(self, key: LogKey) -> bool:
        """Whether an entry put ``key`` in force and it is the one that was given."""
        return self._given is not None and key.since >= 0 and key.text == self._given.text

    def begin(self, facts: Mapping[str, Json]) -> VerifierKey:
        """Put genesis's key in force and return it. Raises `Malformed`."""
        key = parse_verifier_key(facts["verifier_key"])
        self._take(0, facts, key)
        return key

    def rotate(self, seq: int, facts: Mapping[str, Json], log_id: str) -> None:
        """Follow an approved rotation in entry ``seq``. Raises `Malformed` where it may not stand."""
        key = parse_verifier_key(facts["verifier_key"])
        if key.name != origin(log_id):
            raise Malformed("the new key is of another log")
        # A key that left is in old copies, and with whoever could open them.
        if any(facts["verifier_key"] == one.text for one in self._chain):
            raise Malformed("the new log key was in force before")
        if facts["opening_key"] in self._opening_keys:
            raise Malformed("the new opening key was in use before")
        self._take(seq, facts, key)

    def _take(self, seq: int, facts: Mapping[str, Json], key: VerifierKey) -> None:
        self._chain.append(LogKey(seq, facts["verifier_key"], key))
        self._opening_keys.add(facts["opening_key"])

    def signer(self, note: SignedNote) -> LogKey:
        """Return the newest key of the chain, or the given one, that signed a head. Raises `BadSignature`."""
        known = [*reversed(self._chain), *([] if self._given is None else [self._given])]
        for one in known:
            if one.signs(note):
                verify_note(note, one.key)
                return one
        raise BadSignature("head is not signed by a key of this log")

    def knows(self, key_id: bytes) -> bool:
        """Whether a key of the chain, or the given one, has this id (4 bytes)."""
        known = [*self._chain, *([] if self._given is None else [self._given])]
        return any(one.key.key_id == key_id for one in known)

    def fits(self, key: LogKey, size: int) -> bool:
        """Whether ``key`` may have signed ``size`` entries: it was in force there, as far as the chain is known."""
        if key.since < 0:
            return True
        later = [one.since for one in self._chain if one.since > key.since]
        return (key.since < size or key.since == 0) and (not later or size <= later[0])


def read_checkpoint(note: SignedNote, key: LogKey) -> Checkpoint:
    """Verify a note's signatures by ``key`` and return its checkpoint, of this log. Raises `LedgerError`."""
    verify_note(note, key.key)
    found = parse_checkpoint(note.text)
    if found.origin != key.key.name:
        raise BadSignature("checkpoint is of another log")
    return found
