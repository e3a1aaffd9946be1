"""Claims of a DCQL credential query: paths, values and claim sets (OpenID4VP 1.0, sections 6.3, 6.4.1 and 7).

    "claims": [{"id": "a", "path": ["age_over_18"], "values": [true]}, {"id": "b", "path": ["birthdate"]}],
    "claim_sets": [["a"], ["b"]]

Paths that are no claim of ours are kept: the owner is told what is asked and not there. Values are compared by
JSON type, and may be shown; so texts among them are held to the same rule as every other shown text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from ownerd.credential.shown_text import require_shown_text
from ownerd.model.encoding import Json
from ownerd.model.errors import InvalidArgument, NotSupported
from ownerd.model.query import ClaimQuery, PathElement

MAX_CLAIMS: Final = 64  # in all credential queries of one request together
MAX_CLAIM_SETS: Final = 16
MAX_PATH: Final = 8
MAX_NAME_CHARS: Final = 64
MAX_INDEX: Final = (1 << 31) - 1
MAX_VALUES: Final = 64
MAX_VALUE_CHARS: Final = 256
MAX_INT: Final = (1 << 53) - 1
MAX_MEMBERS: Final = 32

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def require_members(value: Json, what: str) -> Mapping[str, Json]:
    """Return one object of a query. Members that nobody here asks for are ignored (section 6: MUST)."""
    if not isinstance(value, dict):
        raise InvalidArgument(f"DCQL {what} is not an object")
    if len(value) > MAX_MEMBERS:
        raise InvalidArgument(f"DCQL {what} has more than {MAX_MEMBERS} members")
    return value


def require_list(value: Json, what: str, most: int) -> list[Json]:
    """Return a list of 1 to ``most`` members."""
    if not isinstance(value, list) or not value:
        raise InvalidArgument(f"DCQL {what} is not a list with members")
    if len(value) > most:
        raise InvalidArgument(f"DCQL {what} has more than {most} members")
    return value


def require_id(value: Json, what: str) -> str:
    """Return an identifier of section 6.1 or 6.3."""
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise InvalidArgument(f"DCQL {what} id is malformed")
    return value


def parse_references(value: Json, what: str, known: Sequence[str], most: int) -> tuple[tuple[str, ...], ...]:
    """Read a list of lists of identifiers, each of them ``known``; no list twice, none with a member twice."""
    lists: list[tuple[str, ...]] = []
    for entry in require_list(value, what, most):
        ids = tuple(require_id(one, what) for one in require_list(entry, f"{what} entry", len(known) or 1))
        if not set(ids) <= set(known):
            raise InvalidArgument(f"DCQL {what} names an id that is not there")
        if len(set(ids)) < len(ids):
            raise InvalidArgument(f"DCQL {what} names an id twice")
        lists.append(ids)
    if len({frozenset(ids) for ids in lists}) < len(lists):
        raise InvalidArgument(f"DCQL {what} has an alternative twice")
    return tuple(lists)


def _path(value: Json, *, ours: bool) -> tuple[PathElement, ...]:
    path: list[PathElement] = []
    for element in require_list(value, "path", MAX_PATH):
        if element is None:
            path.append(None)
        elif isinstance(element, int) and not isinstance(element, bool):
            if not 0 <= element <= MAX_INDEX:
                raise InvalidArgument("DCQL path element is not an array index")
            path.append(element)
        else:
            name = require_shown_text(element, "DCQL path element", max_chars=MAX_NAME_CHARS)
            if ours and "." in name:
                # Everywhere else a dot parts a claim's path: ["address.locality"] must not pass for the member.
                raise NotSupported("DCQL path elements with a dot are not supported")
            path.append(name)
    return tuple(path)


def _value(value: Json) -> str | int | bool:
    if isinstance(value, str):
        return require_shown_text(value, "DCQL value", max_chars=MAX_VALUE_CHARS)
    if not isinstance(value, int) or not -MAX_INT <= value <= MAX_INT:
        raise InvalidArgument("DCQL value is not a string, an integer or a boolean")
    return value


def _values(claim: Mapping[str, Json]) -> tuple[str | int | bool, ...]:
    if "values" not in claim:
        return ()
    values = tuple(_value(one) for one in require_list(claim["values"], "values", MAX_VALUES))
    if len({(type(one), one) for one in values}) < len(values):  # True == 1, but not in JSON
        raise InvalidArgument("DCQL values has a value twice")
    return values


def parse_claims(value: Json, *, ours: bool) -> tuple[ClaimQuery, ...]:
    """Read ``claims``. Credentials that are not ``ours`` may have any text in their paths (mdoc namespaces have dots).

    Raises `NotSupported` for a dot in a path of ours, `InvalidArgument` for what is not DCQL.
    """
    claims: list[ClaimQuery] = []
    for entry in require_list(value, "claims", MAX_CLAIMS):
        claim = require_members(entry, "claim")
        if "path" not in claim:
            raise InvalidArgument("DCQL claim has no path")
        claim_id = require_id(claim["id"], "claim") if "id" in claim else None
        claims.append(ClaimQuery(claim_id, _path(claim["path"], ours=ours), _values(claim)))
    ids = [claim.id for claim in claims if claim.id is not None]
    if len({claim.path for claim in claims}) < len(claims) or len(set(ids)) < len(ids):
        raise InvalidArgument("DCQL asks for a claim twice")
    return tuple(claims)


def parse_claim_sets(value: Json, claims: Sequence[ClaimQuery]) -> tuple[tuple[str, ...], ...]:
    """Read ``claim_sets``, alternatives in the provider's order: then every claim has an id (section 6.3)."""
    ids = [claim.id for claim in claims if claim.id is not None]
    if not claims:
        raise InvalidArgument("DCQL claim_sets stands without claims")
    if len(ids) < len(claims):
        raise InvalidArgument("DCQL claim_sets stands beside a claim without id")
    return parse_references(value, "claim_sets", ids, MAX_CLAIM_SETS)
