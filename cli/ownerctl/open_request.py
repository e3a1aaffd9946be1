"""From a link to what the daemon is asked: fetch what the link refers to, and say where the answer goes.

Nothing is verified here but that a fetched object carries the nonce we sent (OpenID4VP 1.0, section 5.10),
which nobody else can know. Parameters are read unverified, for addresses only: the same bytes go to the
daemon, which verifies them before the owner is asked, and no answer exists before that.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from ownerctl.open_answer import tell_words
from ownerctl.openid_uri import ByReference, Link, Plain
from ownerctl.web import Answer, Place, Web, WebTrouble, parse_place
from ownerd.model.encoding import Json, parse_b64u, parse_json_object
from ownerd.model.errors import InvalidArgument

if TYPE_CHECKING:
    from ownerctl.open_hosts import Hosts

REQUEST_TYPE: Final = "application/oauth-authz-req+jwt"
DID_TYPES: Final = ("application/did+json", "application/did+ld+json", "application/json")
DID_PREFIX: Final = "decentralized_identifier:"

_JWS = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*", re.ASCII)
# The same for every wallet of this version, so that it tells nothing about the owner.
WALLET_METADATA: Final[dict[str, Json]] = {
    "vp_formats_supported": {"dc+sd-jwt": {"sd-jwt_alg_values": ["ES256"], "kb-jwt_alg_values": ["ES256"]}},
    "client_id_prefixes_supported": [
        "x509_san_dns",
        "x509_hash",
        "decentralized_identifier",
        "verifier_attestation",
    ],
    "request_object_signing_alg_values_supported": ["ES256"],
    "authorization_encryption_alg_values_supported": ["ECDH-ES"],
    "authorization_encryption_enc_values_supported": ["A128GCM", "A256GCM"],
    "response_types_supported": ["vp_token"],
    "response_modes_supported": ["direct_post.jwt"],
}


class Asked(Struct, frozen=True):
    """What `Present` is called with, where its answer goes, and the ``state`` that an error answer repeats."""

    text: str
    response: Place
    state: str | None


def obtain(link: Link, web: Web, hosts: Hosts) -> Asked:
    """Fetch what the link refers to, once its host is agreed to, and agree on where the answer goes.

    Raises `WebTrouble`, `Dismissed`, `InvalidArgument` and what `Hosts.require` raises.
    """
    if isinstance(link, Plain):
        return _asked(json.dumps(link.parameters, ensure_ascii=False), link.parameters, hosts)
    compact = _fetch(link, web, hosts) if isinstance(link, ByReference) else link.request
    outer: dict[str, Json] = {"client_id": link.client_id, "request": compact}
    if link.client_id.startswith(f"{DID_PREFIX}did:web:"):
        outer["did_document"] = _did_document(link.client_id, web, hosts)
    return _asked(json.dumps(outer, ensure_ascii=False), claimed_parameters(compact), hosts)


def claimed_parameters(compact: str) -> dict[str, Json]:
    """Parameters of a signed request object, its signature unseen. Raises `InvalidArgument`."""
    if not _JWS.fullmatch(compact):
        raise InvalidArgument("the request object is not a compact JWS")
    return parse_json_object(parse_b64u(compact.split(".")[1]))


def did_web_uri(client_id: str) -> str:
    """Where the document of a did:web client id is (did:web method, section 2.5.2).

    Raises as `parse_did_web`, so nothing is fetched that the daemon would not take.
    """
    from ownerd.credential.did_identity import parse_did_web

    host, path = parse_did_web(client_id.removeprefix(DID_PREFIX))
    return f"https://{host}/{'/'.join(path) or '.well-known'}/did.json"


def _asked(text: str, parameters: dict[str, Json], hosts: Hosts) -> Asked:
    response = parse_place(parameters.get("response_uri", ""), "response_uri of the request")
    hosts.require(response, "the answer goes to")
    state = parameters.get("state")
    return Asked(text, response, state if isinstance(state, str) else None)


def _fetch(link: ByReference, web: Web, hosts: Hosts) -> str:
    place = parse_place(link.request_uri, "request_uri of the link")
    hosts.require(place, "the link asks to fetch a request from")
    if not link.post:
        return _compact(web.get(place, accept=REQUEST_TYPE), place)
    nonce = secrets.token_urlsafe(24)
    form = {
        "wallet_metadata": json.dumps(WALLET_METADATA, separators=(",", ":")),
        "wallet_nonce": nonce,
    }
    compact = _compact(web.post(place, form, accept=REQUEST_TYPE), place)
    returned = claimed_parameters(compact).get("wallet_nonce")
    if returned is None:
        raise WebTrouble(f"the request of {place.shown} lacks the wallet_nonce that it was asked with")
    if not isinstance(returned, str) or not hmac.compare_digest(returned.encode(), nonce.encode()):
        raise WebTrouble(
            f"the request of {place.shown} has another wallet_nonce: it was made for somebody else"
        )
    return compact


def _compact(answer: Answer, place: Place) -> str:
    body = _body(answer, place, (REQUEST_TYPE,))
    try:
        return body.decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise WebTrouble(f"{place.shown} answers with something that is no request object") from error


def _did_document(client_id: str, web: Web, hosts: Hosts) -> dict[str, Json]:
    place = parse_place(did_web_uri(client_id), "did:web of the client_id")
    hosts.require(place, "the provider's key is to be fetched from")
    body = _body(web.get(place, accept=", ".join(DID_TYPES)), place, DID_TYPES)
    try:
        return parse_json_object(body)
    except InvalidArgument as error:
        raise WebTrouble(f"{place.shown} answers with something that is no DID document") from error


def _body(answer: Answer, place: Place, media_types: tuple[str, ...]) -> bytes:
    if answer.status != 200:
        tell_words(answer, place)
        raise WebTrouble(f"{place.shown} answers with status {answer.status}")
    if answer.media_type not in media_types:
        raise WebTrouble(f"{place.shown} answers with another content type than {media_types[0]}")
    return answer.body
