"""Prompts about the places where heads of the ledger are kept."""

from __future__ import annotations

from typing import Final

from ownerd.core.render_parts import MAX_VALUE, app, text
from ownerd.model.encoding import Json

KINDS: Final = frozenset({"anchor-added", "anchor-removed", "anchor-lost"})
_WHERE: Final = {"token": "Token", "file": "File", "witness": "Witness"}


def lines(statement: dict[str, Json]) -> list[str]:
    """Lines of an ``anchor-added``, ``anchor-removed`` or ``anchor-lost``."""
    anchor = statement["anchor"]
    where = f"{_WHERE[anchor['kind']]}: {text(anchor['where'], MAX_VALUE)}"
    if statement["kind"] == "anchor-removed":
        rest = [where, "An older copy of the ledger is no longer told by what is kept there."]
        return ["Keep heads of the ledger there no longer.", "", app(statement), *rest]
    if statement["kind"] == "anchor-lost":
        rest = [
            where,
            f"It signed {anchor['size']} entries, of which some are not here, or others.",
            "Those are given up as lost: nothing will tell of them any more.",
        ]
        return ["Put this ledger's head over one that does not agree.", "", app(statement), *rest]
    rest = [where]
    if anchor["kind"] == "file":
        rest.append(
            "The newest head is written there at each unlock and lock. It has no value and no name in it."
        )
        rest.append("Should it ever be newer than the ledger, or of another history, the vault stays closed.")
    else:
        rest.append("What it cosigned is held against the ledger at each unlock.")
    return ["Keep heads of the ledger elsewhere.", "", app(statement), *rest]
