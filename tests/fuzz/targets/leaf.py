"""A leaf of the ledger: read twice over, by the strict reader and the quick one, and written back."""

from __future__ import annotations

from tests.fuzz.target import Target

from ownerd.ledger.entry import challenge, format_leaf, parse_leaf
from ownerd.ledger.reading import read_entry
from ownerd.model.errors import Malformed


def run(data: bytes) -> None:
    try:
        quick = read_entry(data)
    except Malformed:
        quick = None
    try:
        leaf = parse_leaf(data)
    except Malformed:
        assert quick is None, "the quick reader takes what the strict one refuses"
        raise
    assert format_leaf(leaf) == data
    assert quick is not None, "the quick reader refuses what the strict one takes"
    core = leaf.core
    assert (quick.log, quick.time, quick.kind, quick.size, quick.root) == (
        core.log, core.time, core.kind, core.size, core.root,
    )  # fmt: skip
    assert (quick.facts, quick.approval, quick.opening) == (core.facts, leaf.approval, leaf.opening)
    assert quick.digest == challenge(core)


TARGET = Target(
    "leaf",
    run,
    form="json",
    words=(
        "approval", "core", "opening", "outcome", "vault", "commitments", "facts", "kind", "disclosure", "grant", "erased",
        "claim/0", "fido2", "piv", "pkcs11", "recovery", "token", "auth_data", "entries", "until", "count", "per_hour",
        "2026-11-23T14:00:00.123Z", "request", "enrolled", "anchored", "restored", "rotated", "algorithm", "ES384", "RS256",
    ),
    max_bytes=8192,
)  # fmt: skip
