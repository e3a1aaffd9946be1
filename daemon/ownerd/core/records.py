"""Reading the ledger back: leaves with their openings, each verified before it is shown."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ownerd.core.ports import StorePort
from ownerd.ledger.entry import parse_leaf
from ownerd.ledger.opening import SealedOpening, open_opening, verify_opening
from ownerd.model.encoding import Json


async def read_entries(
    store: StorePort, opening_key: X25519PrivateKey, start: int, count: int
) -> dict[str, Json]:
    """Return ``{"entries": […]}``; ``values`` is None where an opening was erased.

    Raises `Malformed`, `Tampered` when an opening is not the one that its leaf commits to.
    """
    entries: list[dict[str, Json]] = []
    for offset, raw in enumerate(await store.leaves(start, count)):
        leaf = parse_leaf(raw)
        sealed = await store.opening(start + offset)
        values: dict[str, Json] | None = {} if leaf.opening is None else None
        if leaf.opening is not None and sealed is not None:
            opened = open_opening(SealedOpening(*sealed), leaf.core, opening_key)
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
