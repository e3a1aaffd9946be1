"""Whose key signed a request under a ``decentralized_identifier`` client id: did:jwk and did:web.

OpenID4VP 1.0 section 5.9.3, DID Core 1.0, did:jwk, did:web. A did:jwk is its key. A did:web is a document
that its host would serve; the daemon has no network, so the document comes along with the request and
nobody vouches that it is the host's. Both are *pinned*: it is the owner who accepts the key, once.
"""

from __future__ import annotations

import json
import re
from typing import Final

from msgspec import Struct

from ownerd.credential.compact_jws import require_signing_key
from ownerd.credential.did import PREFIX as DID_JWK
from ownerd.credential.did import verification_method
from ownerd.credential.dns_name import is_dns_name
from ownerd.credential.jwe import thumbprint
from ownerd.model.encoding import Json, parse_b64u, parse_json_object
from ownerd.model.errors import InvalidArgument, NotAllowed, NotSupported

DID_WEB: Final = "did:web:"
MAX_DOCUMENT_BYTES: Final = 32 * 1024
MAX_METHODS: Final = 32

_MAX_JWK_BYTES = 1024
_SEGMENT = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,64}", re.ASCII)
_RELATIONS = ("authentication", "assertionMethod")


class DidIdentity(Struct, frozen=True):
    """Whoever holds a DID's key: name to show, the key (P-256 JWK) and its RFC 7638 thumbprint.

    ``host`` is the host of a did:web, where alone answers may go; None for a did:jwk.
    """

    name: str
    jwk: dict[str, Json]
    thumbprint: str
    host: str | None


def parse_did_web(did: str) -> tuple[str, tuple[str, ...]]:
    """Host and path segments of ``did:web:HOST[:segment…]``.

    Raises `NotSupported` for a port and for percent-encoding, else `InvalidArgument`.
    """
    host, *path = did.removeprefix(DID_WEB).split(":")
    if "%3a" in host.lower():
        raise NotSupported("a did:web with a port is not supported")
    if "%" in did:
        raise NotSupported("a did:web with percent-encoding is not supported")
    if not did.startswith(DID_WEB) or not is_dns_name(host):
        raise InvalidArgument("did:web does not name a lowercase DNS host")
    if not all(_SEGMENT.fullmatch(segment) for segment in path):
        raise InvalidArgument("did:web has a malformed path")
    return host, tuple(path)


def _jwk_identity(did: str, kid: Json, document: Json) -> DidIdentity:
    if document is not None:
        raise InvalidArgument("a did:jwk is its own document; none may stand beside the request")
    encoded = did.removeprefix(DID_JWK)
    # Other people's writers order the members otherwise than ours; the whole DID is the name anyhow.
    jwk = require_signing_key(parse_json_object(parse_b64u(encoded), max_bytes=_MAX_JWK_BYTES))
    if kid != verification_method(did):
        raise NotAllowed("header kid is not a key of the client id's DID")
    mark = thumbprint(jwk)
    return DidIdentity(f"key {mark[:8]}", jwk, mark, None)


def _absolute(did: str, reference: Json) -> str:
    """The DID URL of a verification method; ``#x`` is relative to the document's DID (DID Core 3.2.2)."""
    if not isinstance(reference, str) or not 0 < len(reference) <= len(did) + 256:
        raise InvalidArgument("DID document has a verification method without id")
    return did + reference if reference.startswith("#") else reference


def _methods(document: dict[str, Json], did: str) -> dict[str, dict[str, Json]]:
    entries = document.get("verificationMethod")
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_METHODS:
        raise InvalidArgument(f"DID document does not hold 1 to {MAX_METHODS} verification methods")
    if not all(isinstance(entry, dict) for entry in entries):
        raise InvalidArgument("DID document has a malformed verification method")
    methods = {_absolute(did, entry.get("id")): entry for entry in entries}
    if len(methods) < len(entries):
        raise InvalidArgument("DID document has two verification methods with one id")
    return methods


def _require_listed(document: dict[str, Json], did: str, kid: str) -> None:
    """The key is for authentication or assertions, where the document tells its keys apart at all."""
    stated = [document[name] for name in _RELATIONS if name in document]
    if not all(isinstance(entries, list) and len(entries) <= MAX_METHODS for entries in stated):
        raise InvalidArgument("DID document has a malformed verification relationship")
    listed = {_absolute(did, entry) for entries in stated for entry in entries if isinstance(entry, str)}
    if stated and kid not in listed:
        raise NotAllowed("the DID document does not list the key for authentication or assertions")


def _web_identity(did: str, kid: Json, document: Json) -> DidIdentity:
    host, path = parse_did_web(did)
    if document is None:
        raise NotSupported("a did:web needs its DID document along with the request")
    if not isinstance(document, dict) or len(json.dumps(document)) > MAX_DOCUMENT_BYTES:
        raise InvalidArgument(f"DID document is not a JSON object of at most {MAX_DOCUMENT_BYTES} bytes")
    if document.get("id") != did:
        raise NotAllowed("the DID document is that of another DID")
    methods = _methods(document, did)
    if not isinstance(kid, str) or kid not in methods or not kid.startswith(f"{did}#"):
        raise NotAllowed("header kid is not a key of the client id's DID")
    method = methods[kid]
    if method.get("controller") != did:
        raise NotAllowed("the key of the DID document is controlled by another DID")
    if "publicKeyMultibase" in method:
        raise InvalidArgument("DID document names one key in two ways")
    _require_listed(document, did, kid)
    jwk = require_signing_key(method.get("publicKeyJwk"))
    return DidIdentity("/".join((host, *path)), jwk, thumbprint(jwk), host)


def find_did_key(did: str, kid: Json, document: Json) -> DidIdentity:
    """The key that ``kid`` names in ``did``; ``document`` is the DID document given along, or None.

    Nothing is verified by it but that the key belongs to this DID. Raises `InvalidArgument` for a malformed
    DID, document or key, `NotAllowed` for a key of another DID or purpose, `NotSupported` for other methods.
    """
    if did.startswith(DID_JWK):
        return _jwk_identity(did, kid, document)
    if did.startswith(DID_WEB):
        return _web_identity(did, kid, document)
    raise NotSupported("only did:jwk and did:web are supported")
