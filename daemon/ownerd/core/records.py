"""Reading the ledger back: leaves with their openings, each verified before it is shown."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ownerd.core.ports import StorePort
from ownerd.ledger.entry import LeafCore, parse_leaf
from ownerd.ledger.opening import OpeningValue, SealedOpening, open_opening, verify_opening
from ownerd.model.encoding import Json
from ownerd.model.errors import LedgerError, Tampered


async def read_entries(
    store: StorePort, opening_keys: Sequence[X25519PrivateKey] | None, start: int, count: int
) -> dict[str, Json]:
    """Return ``{"entries": […]}``; ``values`` is None where an opening was erased, or without ``opening_keys``.

    Raises `Malformed`, `Tampered` when an opening is not the one that its leaf commits to.
    """
    entries: list[dict[str, Json]] = []
    for offset, raw in enumerate(await store.leaves(start, count)):
        leaf = parse_leaf(raw)
        sealed = None if opening_keys is None else await store.opening(start + offset)
        values: dict[str, Json] | None = {} if leaf.opening is None else None
        if opening_keys is not None and leaf.opening is not None and sealed is not None:
            opened = open_with(SealedOpening(*sealed), leaf.core, opening_keys)
            verify_opening(opened, leaf)
            values = {label: one.value for label, one in opened.items()}
        entries.append(
            {
                "seq": start + offset,
                "time": leaf.core.time,
                "kind": leaf.core.kind.value,
                "approval": leaf.approval is not None,
                "facts": dict(leaf.core.facts),
                "values": values,
            }
        )
    return {"entries": entries}


def open_with(
    sealed: SealedOpening, core: LeafCore, keys: Sequence[X25519PrivateKey]
) -> dict[str, OpeningValue]:
    """Open with the key in force, or with one from before a rotation. Raises `LedgerError`."""
    problem: LedgerError = Tampered("an opening does not open")
    for key in keys:
        try:
            return open_opening(sealed, core, key)
        except LedgerError as error:
            problem = error
    raise problem
