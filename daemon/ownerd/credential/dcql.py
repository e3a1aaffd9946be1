"""DCQL (OpenID4VP 1.0, section 6): the whole grammar, read into `ownerd.model.query`.

    {"credentials": [{"id": "owner", "format": "dc+sd-jwt", "meta": {"vct_values": ["urn:ownerd:owner:1"]},
                      "claims": [{"path": ["given_name"]}, {"path": ["address", "locality"]}]},
                     {"id": "pid", "format": "mso_mdoc", "meta": {"doctype_value": "eu.europa.ec.eudi.pid.1"}}],
     "credential_sets": [{"options": [["pid"], ["owner"]]}]}

A credential that no owner's self-asserted one can be (another format or type, issued by certain authorities) is
no error: it is ``unmet``, and negotiation decides what that means for the whole. What the grammar does not have
is `InvalidArgument`; members that no version knows are ignored, as section 6 demands. Everything is bounded.

Two things are stricter than the grammar. A claim that is asked twice in one credential is refused, though section 6.1
would have wallets ignore the repeat: which of two ids it has would be a guess. And a name with a dot in
a path of ours is `NotSupported`.

``multiple`` asks for nothing that one credential would not answer, and a credential whose holder binding
is not required is bound all the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ownerd.credential.dcql_claims import (
    MAX_CLAIMS,
    parse_claim_sets,
    parse_claims,
    parse_references,
    require_id,
    require_list,
    require_members,
)
from ownerd.model.encoding import Json, parse_b64u
from ownerd.model.errors import InvalidArgument
from ownerd.model.names import VCT
from ownerd.model.query import CredentialQuery, CredentialSet, Query

MAX_CREDENTIALS: Final = 8
MAX_SETS: Final = 16
MAX_OPTIONS: Final = 16
MAX_TYPES: Final = 64
MAX_TYPE_CHARS: Final = 1024
MAX_AUTHORITIES: Final = 16
FORMAT: Final = "dc+sd-jwt"

OTHER_FORMAT: Final = "a credential of another format"
OTHER_TYPE: Final = "a credential of another type"
OTHER_ISSUER: Final = "a credential issued by an authority"

_FORMAT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+.-]{0,63}", re.ASCII)
_AUTHORITY = re.compile(r"[!-~]{1,2048}", re.ASCII)


def _flag(members: Mapping[str, Json], name: str, *, default: bool) -> bool:
    value = members.get(name, default)
    if not isinstance(value, bool):
        raise InvalidArgument(f"DCQL {name} is not a boolean")
    return value


def _has_our_type(meta: Mapping[str, Json]) -> bool:
    """Whether ``vct_values`` (appendix B.3.5: required of SD-JWT VC) names our type."""
    types = require_list(meta.get("vct_values"), "vct_values", MAX_TYPES)
    if not all(isinstance(vct, str) and 0 < len(vct) <= MAX_TYPE_CHARS for vct in types):
        raise InvalidArgument("DCQL vct_values are not strings")
    return VCT in types


def _require_authorities(value: Json) -> None:
    """Refuse ``trusted_authorities`` that are malformed. None can match: nobody issued a self-asserted credential."""
    for entry in require_list(value, "trusted_authorities", MAX_AUTHORITIES):
        authority = require_members(entry, "trusted authority")
        type_ = authority.get("type")
        if not isinstance(type_, str) or not _AUTHORITY.fullmatch(type_):
            raise InvalidArgument("DCQL trusted authority has no type")
        for one in require_list(authority.get("values"), "trusted authority values", MAX_TYPES):
            if not isinstance(one, str) or not _AUTHORITY.fullmatch(one):
                raise InvalidArgument("DCQL trusted authority value is malformed")
            if type_ == "aki":
                parse_b64u(one)


def _unmet(credential: Mapping[str, Json]) -> str | None:
    """Why no credential of ours can be the one that is asked for; every member is parsed whatever the answer."""
    format_ = credential.get("format")
    if not isinstance(format_, str) or not _FORMAT_ID.fullmatch(format_):
        raise InvalidArgument("DCQL credential has no format")
    meta = require_members(credential.get("meta"), "meta")
    our_type = format_ == FORMAT and _has_our_type(meta)
    if "trusted_authorities" in credential:
        _require_authorities(credential["trusted_authorities"])
    if format_ != FORMAT:
        return OTHER_FORMAT
    if not our_type:
        return OTHER_TYPE
    return OTHER_ISSUER if "trusted_authorities" in credential else None


def _credential(value: Json) -> tuple[CredentialQuery, int]:
    """One credential query, and how many claims it has.

    Claims of another format are counted and left out: their paths are that format's, and may read like ours.
    """
    credential = require_members(value, "credential")
    query_id = require_id(credential.get("id"), "credential")
    unmet = _unmet(credential)
    ours = unmet != OTHER_FORMAT
    _flag(credential, "multiple", default=False)
    _flag(credential, "require_cryptographic_holder_binding", default=True)
    claims = parse_claims(credential["claims"], ours=ours) if "claims" in credential else ()
    sets = parse_claim_sets(credential["claim_sets"], claims) if "claim_sets" in credential else ()
    if not ours:
        return CredentialQuery(query_id, (), (), unmet), len(claims)
    return CredentialQuery(query_id, claims, sets, unmet), len(claims)


def _set(value: Json, ids: list[str]) -> CredentialSet:
    members = require_members(value, "credential set")
    options = parse_references(members.get("options"), "options", ids, MAX_OPTIONS)
    return CredentialSet(options, _flag(members, "required", default=True))


def parse_dcql(value: Json) -> Query:
    """Parse a ``dcql_query`` (already JSON).

    Raises `InvalidArgument` for what is not DCQL or too much of it, `NotSupported` for a dot in the path of a claim.
    """
    query = require_members(value, "query")
    entries = require_list(query.get("credentials"), "credentials", MAX_CREDENTIALS)
    credentials: list[CredentialQuery] = []
    total = 0
    for entry in entries:
        credential, count = _credential(entry)
        credentials.append(credential)
        total += count
    if total > MAX_CLAIMS:
        raise InvalidArgument(f"DCQL asks for more than {MAX_CLAIMS} claims")
    ids = [credential.id for credential in credentials]
    if len(set(ids)) < len(ids):
        raise InvalidArgument("DCQL credential id is there twice")
    sets: tuple[CredentialSet, ...] = ()
    if "credential_sets" in query:
        entries = require_list(query["credential_sets"], "credential_sets", MAX_SETS)
        sets = tuple(_set(entry, ids) for entry in entries)
    return Query(tuple(credentials), sets)


def unbound_ids(value: Json) -> frozenset[str]:
    """Ids of the credentials in a ``dcql_query`` that `parse_dcql` took whose holder binding is not required."""
    name = "require_cryptographic_holder_binding"
    return frozenset(one["id"] for one in value["credentials"] if one.get(name) is False)
