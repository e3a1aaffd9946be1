"""What a request asks for: credentials (OpenID4VP 1.0) or a login and no data (SIOPv2).

A login is ``response_type`` id_token with ``scope`` openid (SIOPv2, section 9). Its answer is a subject-signed ID
token whose issuer and subject are the did:jwk of the provider's own key; so a provider that says it takes only
other subject syntaxes, token types or algorithms is told so before the owner is asked. Names and claims are
asked for by a query alone: a scope beside openid is refused. A query and a login in one request (vp_token
id_token) are refused: the one needs an owner who reads it, the other must stay one touch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from ownerd.credential.dcql import parse_dcql, unbound_ids
from ownerd.credential.request_checks import MAX_IGNORED, parse_response_type
from ownerd.credential.transaction_data import parse_transaction_data
from ownerd.model.encoding import Json
from ownerd.model.errors import InvalidArgument, NotSupported
from ownerd.model.query import Query
from ownerd.model.terms import AskedTerms

SCOPE: Final = "openid"
TOKEN_TYPE: Final = "subject_signed_id_token"
SUBJECT_SYNTAX: Final = "did:jwk"
ALG: Final = "ES256"

_LOGIN_ONLY = ("scope", "id_token_type")
_NOT_IN_LOGIN = ("dcql_query", "transaction_data")


class Asked(Struct, frozen=True):
    """What a request asks for; ``query`` and ``terms`` are empty for a ``login``."""

    query: Query
    terms: tuple[AskedTerms, ...] = ()
    login: bool = False


def _refuse(parameters: Mapping[str, Json], names: tuple[str, ...], response_type: str) -> None:
    for name in names:
        if name in parameters:
            raise NotSupported(
                f"request parameter {name} is not supported with response_type {response_type}"
            )


def _require_login(parameters: Mapping[str, Json]) -> None:
    """Hold ``scope``, ``id_token_type`` and the login members of ``client_metadata`` to their rules."""
    scope = parameters.get("scope")
    if not isinstance(scope, str):
        raise InvalidArgument("request has no scope")
    if scope != SCOPE:
        raise NotSupported(f"only scope {SCOPE} is supported")
    # Left out it means attester_signed_id_token; section 9 lets an OP answer with the other type all the same.
    types = parameters.get("id_token_type", TOKEN_TYPE)
    if not isinstance(types, str):
        raise InvalidArgument("request id_token_type is malformed")
    if TOKEN_TYPE not in types.split(" "):
        raise NotSupported(f"request id_token_type does not name {TOKEN_TYPE}")
    metadata = parameters.get("client_metadata")
    if isinstance(metadata, dict):  # that it is one is `parse_recipient`'s rule
        _require_metadata(metadata)


def _require_metadata(metadata: Mapping[str, Json]) -> None:
    syntaxes = metadata.get("subject_syntax_types_supported", [SUBJECT_SYNTAX])
    if not isinstance(syntaxes, list) or not 0 < len(syntaxes) <= MAX_IGNORED:
        raise InvalidArgument("subject_syntax_types_supported is malformed")
    if not all(isinstance(one, str) for one in syntaxes):
        raise InvalidArgument("subject_syntax_types_supported is malformed")
    if SUBJECT_SYNTAX not in syntaxes:
        raise NotSupported(f"the provider does not take {SUBJECT_SYNTAX} as a subject")
    algorithm = metadata.get("id_token_signed_response_alg", ALG)
    if not isinstance(algorithm, str):
        raise InvalidArgument("id_token_signed_response_alg is malformed")
    if algorithm != ALG:
        raise NotSupported(f"the provider does not take {ALG}")


def parse_asked(parameters: Mapping[str, Json]) -> Asked:
    """Parse what a request asks for. Raises `InvalidArgument` and `NotSupported`, naming the parameter."""
    response_type = parse_response_type(parameters)
    if response_type == "id_token":
        _refuse(parameters, _NOT_IN_LOGIN, response_type)
        _require_login(parameters)
        return Asked(Query(()), login=True)
    _refuse(parameters, _LOGIN_ONLY, response_type)
    query = parse_dcql(parameters.get("dcql_query"))
    # Appendix B.3.3: terms for a credential without holder binding must be rejected.
    unbound = unbound_ids(parameters["dcql_query"])
    bound = [credential.id for credential in query.credentials if credential.id not in unbound]
    return Asked(query, parse_transaction_data(parameters, bound))
