"""DCQL (OpenID4VP 1.0, sections 6 and 7), the part that one self-asserted credential needs.

    {"credentials": [{"id": "owner", "format": "dc+sd-jwt",
                      "meta": {"vct_values": ["urn:ownerd:owner:1"]},
                      "claims": [{"path": ["given_name"]}, {"path": ["address", "locality"]}]}]}

One credential query, every claim in it required. What the grammar has and we do not is refused by name
(`NotSupported`), because half an answer to a query that asks for alternatives or values would be a wrong
one; what the grammar does not have is `InvalidArgument`. Paths that are no claim of ours are kept: the
owner is told what is asked and not there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ownerd.credential.shown_text import require_shown_text
from ownerd.model.encoding import Json
from ownerd.model.errors import InvalidArgument, NotSupported
from ownerd.model.names import VCT
from ownerd.model.query import ClaimQuery, CredentialQuery, Query

MAX_CLAIMS: Final = 64
MAX_PATH: Final = 8
MAX_NAME_CHARS: Final = 64
FORMAT: Final = "dc+sd-jwt"

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)

# Members that the grammar knows and this version refuses by name.
_QUERY = frozenset({"credential_sets"})
_CREDENTIAL = frozenset({"claim_sets", "trusted_authorities"})
_META = frozenset[str]()
_CLAIM = frozenset({"values"})
_MAX_MEMBERS = 32


def _members(value: Json, what: str, refused: frozenset[str]) -> Mapping[str, Json]:
    """Members of one object: what we refuse is named, what no version knows is ignored (section 6: MUST)."""
    if not isinstance(value, dict):
        raise InvalidArgument(f"DCQL {what} is not an object")
    if len(value) > _MAX_MEMBERS:
        raise InvalidArgument(f"DCQL {what} has more than {_MAX_MEMBERS} members")
    for name in sorted(value.keys() & refused):
        raise NotSupported(f"DCQL {name} is not supported")
    return value


def _list(value: Json, what: str, most: int) -> list[Json]:
    if not isinstance(value, list) or not value:
        raise InvalidArgument(f"DCQL {what} is not a list with members")
    if len(value) > most:
        raise InvalidArgument(f"DCQL {what} has more than {most} members")
    return value


def _id(value: Json, what: str) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise InvalidArgument(f"DCQL {what} id is malformed")
    return value


def _flag(credential: Mapping[str, Json], name: str, *, only: bool) -> None:
    value = credential.get(name, only)
    if not isinstance(value, bool):
        raise InvalidArgument(f"DCQL {name} is not a boolean")
    if value is not only:
        raise NotSupported(f"DCQL {name} {str(value).lower()} is not supported")


def _path(value: Json) -> tuple[str, ...]:
    path: list[str] = []
    for element in _list(value, "path", MAX_PATH):
        if element is None or (isinstance(element, int) and not isinstance(element, bool)):
            raise NotSupported("DCQL path elements that select from arrays are not supported")
        name = require_shown_text(element, "DCQL path element", max_chars=MAX_NAME_CHARS)
        if "." in name:
            # Everywhere else a dot parts a claim's path: ["address.locality"] must not pass for the member.
            raise NotSupported("DCQL path elements with a dot are not supported")
        path.append(name)
    if path == ["address"]:
        raise NotSupported("DCQL path address is not supported as a whole; ask for its members")
    return tuple(path)


def _claims(value: Json) -> tuple[ClaimQuery, ...]:
    claims: list[ClaimQuery] = []
    for entry in _list(value, "claims", MAX_CLAIMS):
        claim = _members(entry, "claim", _CLAIM)
        if "path" not in claim:
            raise InvalidArgument("DCQL claim has no path")
        claim_id = _id(claim["id"], "claim") if "id" in claim else None
        claims.append(ClaimQuery(claim_id, _path(claim["path"])))
    ids = [claim.id for claim in claims if claim.id is not None]
    if len({claim.path for claim in claims}) < len(claims) or len(set(ids)) < len(ids):
        raise InvalidArgument("DCQL asks for a claim twice")
    return tuple(claims)


def parse_dcql(value: Json) -> Query:
    """Parse a ``dcql_query`` (already JSON).

    Raises `NotSupported` naming the member for what this version leaves out, `InvalidArgument` for what is
    not DCQL.
    """
    query = _members(value, "query", _QUERY)
    credentials = query.get("credentials")
    if not isinstance(credentials, list) or not credentials:
        raise InvalidArgument("DCQL credentials is not a list with members")
    if len(credentials) > 1:
        raise NotSupported("DCQL queries for several credentials are not supported")
    credential = _members(credentials[0], "credential", _CREDENTIAL)
    query_id = _id(credential.get("id"), "credential")
    if not isinstance(credential.get("format"), str):
        raise InvalidArgument("DCQL credential has no format")
    if credential["format"] != FORMAT:
        raise NotSupported(f"DCQL format is not {FORMAT}")
    meta = _members(credential.get("meta"), "meta", _META)
    types = _list(meta.get("vct_values"), "vct_values", MAX_CLAIMS)
    if not all(isinstance(vct, str) for vct in types):
        raise InvalidArgument("DCQL vct_values are not strings")
    if VCT not in types:
        raise NotSupported(f"DCQL vct_values do not name {VCT}")
    _flag(credential, "multiple", only=False)
    _flag(credential, "require_cryptographic_holder_binding", only=True)
    if "claims" not in credential:
        raise NotSupported("DCQL credential queries without claims are not supported")
    return Query((CredentialQuery(query_id, _claims(credential["claims"])),))
