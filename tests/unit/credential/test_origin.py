"""Who asks: each client id prefix yields its trust, name, key and anchor, and no more."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from demo import identity_kit
from tests.rigs.provider import now_ms

from ownerd.credential.attestation import format_attester, parse_attester
from ownerd.credential.did_identity import parse_did_web
from ownerd.credential.request_object import read_request
from ownerd.model.errors import InvalidArgument, NotAllowed, NotSupported
from ownerd.model.request import Trust


def test_a_did_jwk_is_pinned_by_its_key(provider_rig):
    signer = identity_kit.DidJwkSigner()
    provider = provider_rig.read(provider_rig.signed_as(signer)).provider
    assert (provider.trust, provider.client_id) == (Trust.PINNED, signer.client_id)
    assert provider.key_thumbprint == signer.key.thumbprint()
    assert provider.name == f"key {signer.key.thumbprint()[:8]}"
    assert provider.anchor is None


def test_a_did_web_is_pinned_by_the_key_of_the_document_beside(provider_rig):
    for path, name in (((), "shop.example"), (("user", "books"), "shop.example/user/books")):
        signer = identity_kit.DidWebSigner("shop.example", path)
        provider = provider_rig.read(provider_rig.signed_as(signer)).provider
        assert (provider.trust, provider.client_id) == (Trust.PINNED, signer.client_id)
        assert provider.key_thumbprint == signer.key.thumbprint()
        assert (provider.name, provider.anchor) == (name, None)


@pytest.mark.parametrize("subject", ["shop.example", "Buch & Co"])
def test_an_attested_provider_is_verified_and_its_anchor_is_the_attesters_key(provider_rig, subject):
    signer = provider_rig.attested(subject)
    provider = provider_rig.read(provider_rig.signed_as(signer)).provider
    assert (provider.trust, provider.client_id) == (Trust.VERIFIED, signer.client_id)
    assert (provider.name, provider.key_thumbprint) == (subject, signer.key.thumbprint())
    thumbprint = provider_rig.attestation_issuer.key.thumbprint()
    assert provider.anchor == base64.urlsafe_b64decode(thumbprint + "=").hex()


def test_the_attested_key_may_answer_elsewhere_unless_the_attestation_says_where(provider_rig):
    uri = "https://answers.example/a?b=1"
    free = provider_rig.signed_as(provider_rig.attested(), response_uri=uri)
    assert provider_rig.read(free).response_uri == uri
    bound = provider_rig.attested(redirect_uris=["https://shop.example/x", uri])
    assert provider_rig.read(provider_rig.signed_as(bound, response_uri=uri)).response_uri == uri
    for other in (uri + "2", uri.removesuffix("1"), "https://answers.example/A?b=1"):
        with pytest.raises(NotAllowed, match="response_uri"):
            provider_rig.read(provider_rig.signed_as(bound, response_uri=other))


def test_any_of_an_attesters_keys_and_files_may_have_signed(provider_rig):
    older, newer = identity_kit.AttestationIssuer(), provider_rig.attestation_issuer
    members = json.loads(older.trust_file())
    members["keys"] += json.loads(newer.trust_file())["keys"]
    both = parse_attester(json.dumps(members))
    apart = tuple(parse_attester(one.trust_file()) for one in (older, newer))
    text = provider_rig.signed_as(provider_rig.attested())
    anchors = {
        read_request(text, anchors=[], attesters=known, now_ms=now_ms()).provider.anchor
        for known in ((both,), apart, apart[::-1], provider_rig.attesters)
    }
    assert len(anchors) == 1


def test_the_digest_covers_the_document_beside(provider_rig):
    text = provider_rig.signed_as(identity_kit.DidWebSigner("shop.example"))
    assert provider_rig.read(text).digest == hashlib.sha256(text.encode()).digest()


def test_a_did_jwk_may_have_other_members_in_any_order(provider_rig):
    signer = identity_kit.DidJwkSigner()
    key = signer.key.export_public(as_dict=True)
    raw = json.dumps({"use": "sig", "alg": "ES256", "y": key["y"], **key}).encode()
    did = "did:jwk:" + base64.urlsafe_b64encode(raw).decode().rstrip("=")
    request = provider_rig.parameters(client_id=f"decentralized_identifier:{did}")
    text = identity_kit.sign_request(request, signer.key, {"kid": f"{did}#0"})
    assert provider_rig.read(text).provider.key_thumbprint == signer.key.thumbprint()


def test_relative_ids_and_other_keys_of_a_document_do_no_harm(provider_rig):
    signer = identity_kit.DidWebSigner("shop.example")
    outer = json.loads(provider_rig.signed_as(signer))
    document = outer["did_document"]
    document["verificationMethod"][0]["id"] = "#request-1"
    document["authentication"] = ["#request-1"]
    document["verificationMethod"].append(
        {"id": "#ed", "type": "JsonWebKey", "controller": "did:web:other.example", "publicKeyJwk": {}}
    )
    document["service"] = [{"id": "#s", "type": "LinkedDomains", "serviceEndpoint": "https://x.example"}]
    assert provider_rig.read(json.dumps(outer)).provider.trust is Trust.PINNED


@pytest.mark.parametrize(
    ("did", "error"),
    [
        ("did:web:shop.example%3A8443", NotSupported),
        ("did:web:shop.example%3a8443:x", NotSupported),
        ("did:web:shop.example:a%2Fb", NotSupported),
        ("did:web:", InvalidArgument),
        ("did:web:localhost", InvalidArgument),
        ("did:web:127.0.0.1", InvalidArgument),
        ("did:web:Shop.example", InvalidArgument),
        ("did:web:shop.example:", InvalidArgument),
        ("did:web:shop.example:..:x", InvalidArgument),
        ("did:web:shop.example:a/b", InvalidArgument),
        ("did:web:shop.example:a#b", InvalidArgument),
        ("did:web:xn--\u0430.example", InvalidArgument),
        ("did:wab:shop.example", InvalidArgument),
    ],
)
def test_did_webs_that_are_not_taken(did, error):
    with pytest.raises(error):
        parse_did_web(did)


def test_what_of_a_did_web_is_not_supported_is_named():
    for did, named in (
        ("did:web:shop.example%3A8443", "with a port"),
        ("did:web:shop.example:a%20b", "with percent"),
    ):
        with pytest.raises(NotSupported, match=named):
            parse_did_web(did)


def test_did_web_is_host_and_path():
    assert parse_did_web("did:web:shop.example") == ("shop.example", ())
    assert parse_did_web("did:web:shop.example:a:b-1") == ("shop.example", ("a", "b-1"))


def test_an_attester_file_is_read_as_it_is_written(provider_rig):
    attester = provider_rig.attesters[0]
    assert parse_attester(format_attester(attester)) == attester


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "http://attester.example"},
        {"issuer": 7},
        {"issuer": ...},
        {"keys": []},
        {"keys": {}},
        {"keys": ...},
        {"keys": [{"kty": "EC", "crv": "P-384", "x": "", "y": ""}]},
        {"name": "Attester"},
    ],
)
def test_attester_files_that_are_not_taken(provider_rig, change):
    members = json.loads(provider_rig.attestation_issuer.trust_file())
    for name, value in change.items():
        members[name] = value
        if value is ...:
            del members[name]
    with pytest.raises(InvalidArgument):
        parse_attester(json.dumps(members))


def test_an_attester_file_with_a_private_or_encryption_key_is_not_taken(provider_rig):
    key = provider_rig.attestation_issuer.key
    for jwk in (
        key.export_private(as_dict=True),
        {**key.export_public(as_dict=True), "use": "enc"},
        {**key.export_public(as_dict=True), "key_ops": ["deriveKey"]},
        {**key.export_public(as_dict=True), "alg": "ES384"},
    ):
        with pytest.raises(InvalidArgument):
            parse_attester(json.dumps({"issuer": "https://attester.example", "keys": [jwk]}))
