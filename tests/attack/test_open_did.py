"""A did:web client: its document is fetched from its host alone, and what is put together verifies as *pinned*."""

from __future__ import annotations

import ipaddress
import json
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from demo import provider_kit as kit
from msgspec import structs
from tests.rigs.provider import CLAIMS, forge_request
from tests.rigs.verifier import HOST, pem_chain
from tests.rigs.verifier_hostile import Got, Hostile, Serve, answer

from ownerctl.errors import UsageTrouble
from ownerctl.open_hosts import Hosts
from ownerctl.open_request import obtain
from ownerctl.openid_uri import ByValue
from ownerctl.web import Answer, Place, Web, WebTrouble
from ownerd.credential.jwe import public_members
from ownerd.credential.request_object import read_request
from ownerd.model.request import Trust

DID = f"did:web:{HOST}"
CLIENT_ID = f"decentralized_identifier:{DID}"
KEY = ec.generate_private_key(ec.SECP256R1())
ASKED = kit.parameters(CLIENT_ID, f"https://{HOST}/answer", CLAIMS, kit.new_encryption_key())
LINK = ByValue(
    CLIENT_ID, forge_request({"alg": "ES256", "typ": "oauth-authz-req+jwt", "kid": f"{DID}#k"}, ASKED, KEY)
)


class Rerouted(Web):
    """A did:web is at port 443, which a test cannot have; all else is real."""

    def __init__(self, server: Hostile) -> None:
        super().__init__(
            allows_private=True, resolver=lambda _host, _port: [ipaddress.ip_address("127.0.0.1")]
        )
        self._port = server.port

    def get(self, place: Place, *, accept: str) -> Answer:
        assert place.port == 443
        return super().get(structs.replace(place, port=self._port), accept=accept)


@pytest.fixture(autouse=True)
def trusted(provider_ca: kit.Party, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ca.pem"
    path.write_text(pem_chain(provider_ca))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))


def _document() -> dict[str, Any]:
    method = {"id": f"{DID}#k", "type": "JsonWebKey", "controller": DID, "publicKeyJwk": public_members(KEY)}
    return {"id": DID, "verificationMethod": [method], "assertionMethod": [f"{DID}#k"]}


def _agreed() -> Hosts:
    return Hosts((HOST,), agrees=False, asks=False)


def test_the_document_goes_along_and_the_request_verifies_as_pinned(hostile: Serve) -> None:
    def respond(got: Got) -> list[bytes]:
        assert got.line == "GET /.well-known/did.json HTTP/1.1"
        return answer(json.dumps(_document()).encode(), "application/did+json")

    server = hostile(respond)
    asked = obtain(LINK, Rerouted(server), _agreed())
    assert len(server.got) == 1
    request = read_request(asked.text, anchors=[], now_ms=int(time.time() * 1000))
    assert (request.provider.trust, request.provider.client_id) == (Trust.PINNED, CLIENT_ID)
    assert asked.response.shown == HOST


@pytest.mark.parametrize(
    ("media_type", "body"),
    [("text/html", b"{}"), ("application/json", b"[]"), ("application/did+json", b'{"id":')],
)
def test_what_is_no_document_ends_it(hostile: Serve, media_type: str, body: bytes) -> None:
    server = hostile(lambda _got: answer(body, media_type))
    with pytest.raises(WebTrouble):
        obtain(LINK, Rerouted(server), _agreed())


def test_the_host_of_the_document_is_agreed_to_first(hostile: Serve) -> None:
    server = hostile(lambda _got: answer(b"{}"))
    with pytest.raises(UsageTrouble, match=f"agree to {HOST}"):
        obtain(LINK, Rerouted(server), Hosts((), agrees=False, asks=False))
    assert server.connections == 0
