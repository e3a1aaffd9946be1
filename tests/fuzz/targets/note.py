"""Signed notes, checkpoints, verifier keys and cosigners' keys."""

from __future__ import annotations

from contextlib import suppress

from tests.fuzz.target import Target

from ownerd.ledger import cosignature, note, witness
from ownerd.model.errors import LedgerError


def _key(text: str) -> note.VerifierKey | None:
    """A key of either kind; what is read is written back."""
    found: note.VerifierKey | None = None
    with suppress(LedgerError):
        found = note.parse_verifier_key(text)
        assert note.format_verifier_key(found.name, found.public) == text
    try:
        cosigner = cosignature.parse_witness_key(text)
    except LedgerError:
        return found
    assert cosignature.format_witness_key(cosigner) == text
    return cosigner


def run(data: bytes) -> None:
    """Input: a line with a key, and a note (or what is carried to a witness)."""
    line, _, rest = data.partition(b"\n")
    key = _key(line.decode("utf-8", "surrogateescape"))
    if rest.startswith(b"old "):
        asked = witness.parse_request(rest)
        assert witness.format_request(asked) == rest
        rest = asked.note
    parsed = note.parse_note(rest)
    assert note.format_note(parsed) == rest
    if isinstance(key, cosignature.WitnessKey):
        cosignature.verify_cosignature(rest, key)
    elif key is not None:
        note.verify_note(parsed, key)
    found = note.parse_checkpoint(parsed.text)
    assert note.format_checkpoint(found.origin, found.size, found.root) == parsed.text


TARGET = Target(
    "note",
    run,
    form="text",
    words=("\n\n", "\u2014 ", "old ", "+", "=", "ownerd/", "\n0\n", "9223372036854775807", " "),
)
