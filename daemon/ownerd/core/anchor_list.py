"""The places where heads are kept, as the owner's tool shows them."""

from __future__ import annotations

from msgspec.structs import replace

from ownerd.core import anchoring
from ownerd.core.anchor_places import Place
from ownerd.core.anchoring import Kept
from ownerd.core.session import Session
from ownerd.core.vault import Vault
from ownerd.ledger.anchor import Verdict
from ownerd.ledger.cosignature import parse_witness_key
from ownerd.model.encoding import Json


async def listing(session: Session, vault: Vault) -> dict[str, Json]:
    """Every place with what is found there now."""
    return {"anchors": [row(vault, one) for one in await look(session)]}


async def look(session: Session) -> list[Kept]:
    """Read and judge every place that can be reached now, on all enrolled tokens that are present.

    What was written since the unlock counts as new: looking makes an entry of its own, and so do others meanwhile.
    """
    vault = session.require_vault()
    seen = await session.tokens.recognise([one.credential for one in vault.enrolled.values()])
    found = await anchoring.look(session, list(seen.tokens))
    for one in found:
        known = session.kept.get(one.place.id)
        if known is None:
            continue
        one.stale = known.stale
        if one.judged is not None and one.judged.verdict.agrees and known.written and known.note == one.note:
            one.written = True
            one.judged = replace(one.judged, verdict=Verdict.CONSISTENT)
    return found


def row(vault: Vault, kept: Kept) -> dict[str, Json]:
    """One place as answers have it."""
    return {
        "id": kept.place.id,
        **shown(vault, kept.place),
        "verdict": kept.verdict,
        "size": kept.judged.size if kept.judged is not None else kept.place.size,
        "seen": kept.place.seen,
        "sentence": kept.judged.sentence if kept.judged is not None else "",
        "stale": kept.stale,
    }


def shown(vault: Vault, place: Place) -> dict[str, Json]:
    """A place as statements, entries and answers name it; the key of a witness by its name."""
    where: str = place.where
    if place.kind == "token" and place.where in vault.enrolled:
        where = vault.enrolled[place.where].credential.name
    elif place.kind == "witness":
        where = parse_witness_key(place.where).name
    return {"kind": place.kind, "where": where}
