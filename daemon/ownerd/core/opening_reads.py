"""Openings for a proof: chosen values of one entry, with the salts that open their commitments.

Who has a salt and a value can show anybody that the entry committed to that value. That is what a proof is for, and
why it takes a touch on a statement that names the entry and each label.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec import Struct

from ownerd.core.ports import StorePort
from ownerd.core.records import open_with
from ownerd.ledger.entry import parse_leaf
from ownerd.ledger.opening import SealedOpening, verify_opening
from ownerd.model.encoding import Json, format_b64u
from ownerd.model.errors import InvalidArgument, NotFound

MAX_LABELS: Final = 64
_MAX_LABEL: Final = 64


class OpeningRead(Struct, frozen=True):
    """What a tool asks for: labels of one entry's commitments."""

    seq: int
    labels: tuple[str, ...]

    @property
    def detail(self) -> list[str | int]:
        """As the statement names it."""
        return [f"entry {self.seq}", *self.labels]


def parse_opening_read(seq: int, labels: Json) -> OpeningRead:
    """Read the labels of a message. Raises `InvalidArgument`."""
    if not isinstance(labels, list) or not 1 <= len(labels) <= MAX_LABELS:
        raise InvalidArgument("labels are not a list, none or too many")
    if not all(isinstance(one, str) and 0 < len(one) <= _MAX_LABEL for one in labels):
        raise InvalidArgument("a label is not a short text")
    if len(set(labels)) != len(labels):
        raise InvalidArgument("a label stands there twice")
    return OpeningRead(seq, tuple(labels))


async def require_labels(store: StorePort, read: OpeningRead) -> None:
    """Raise `NotFound` where the entry has no such commitment, or nothing to open, before anybody is asked."""
    leaves = await store.leaves(read.seq, 1)
    if not leaves:
        raise NotFound("no such entry")
    leaf = parse_leaf(leaves[0])
    if not {*leaf.core.commitments, *leaf.outcome}.issuperset(read.labels):
        raise NotFound("the entry has no such label")
    if await store.opening(read.seq) is None:
        raise NotFound("the entry's values were erased, or it has none")


async def read_opening(
    store: StorePort, opening_keys: Sequence[X25519PrivateKey], read: OpeningRead
) -> dict[str, Json]:
    """Return ``{"opened": {label: {"salt", "value"}}}``. Raises `NotFound`, `Malformed`, `Tampered`."""
    await require_labels(store, read)
    leaf = parse_leaf((await store.leaves(read.seq, 1))[0])
    sealed = await store.opening(read.seq)
    if sealed is None:
        raise NotFound("the entry's values were erased, or it has none")
    opened = open_with(SealedOpening(*sealed), leaf.core, opening_keys)
    verify_opening(opened, leaf)
    return {
        "opened": {
            label: {"salt": format_b64u(opened[label].salt), "value": opened[label].value}
            for label in read.labels
        }
    }
