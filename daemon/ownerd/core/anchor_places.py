"""Where heads of the ledger are kept: the sealed records of it, kind ``anchor-place``.

Not to be confused with trust anchors (kind ``anchor``). A file's path says something about its owner, so it is sealed.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from ownerd.model.encoding import Json, format_b64u, parse_b64u

KIND: Final = "anchor-place"
PlaceKind = Literal["token", "file", "witness"]
_KINDS: Final[dict[str, PlaceKind]] = {"token": "token", "file": "file", "witness": "witness"}
_TOKEN_PREFIX: Final = "token-"


class Place(Struct, frozen=True):
    """One anchor.

    ``where`` is the id of an enrolled token, an absolute path, or the verifier key of a witness. ``seen`` (RFC 3339) is
    when a head was last found there that agreed, ``size`` the entries that it signed; None before the first time.
    ``note`` is a witness's last cosigned checkpoint, which is kept here; of the others nothing is kept but there.
    """

    id: str
    kind: PlaceKind
    where: str
    seen: str | None = None
    size: int | None = None
    note: bytes = b""


def token_place_id(token_id: str) -> str:
    """The id of a token's place; there is one for each token."""
    return _TOKEN_PREFIX + token_id


def format_place(place: Place) -> dict[str, Json]:
    """Members of the record."""
    return {
        "v": 1,
        "kind": place.kind,
        "where": place.where,
        "seen": place.seen,
        "size": place.size,
        "note": format_b64u(place.note),
    }


def parse_place(place_id: str, members: dict[str, Json]) -> Place:
    """Inverse of `format_place`. Raises `KeyError`, `TypeError`, `InvalidArgument`."""
    return Place(
        place_id,
        _KINDS[members["kind"]],
        members["where"],
        members["seen"],
        members["size"],
        parse_b64u(members["note"]),
    )
