from __future__ import annotations

import hashlib
import json

import pytest
from demo import provider_kit as kit
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.rigs.provider import CLIENT_ID, RESPONSE_URI, now_ms

from ownerd.credential.request_object import MAX_REQUEST_BYTES, parse_request, read_request
from ownerd.model.errors import InvalidArgument, NotAllowed, NotSupported, OwnerdError
from ownerd.model.query import ClaimQuery
from ownerd.model.request import Trust


def test_a_signed_request_is_verified(provider_rig):
    parameters = provider_rig.parameters(purpose="ship your order")
    text = kit.signed_request(parameters, provider_rig.party)
    request = provider_rig.read(text)
    assert request.provider.trust is Trust.VERIFIED
    assert request.provider.client_id == CLIENT_ID
    assert request.provider.name == "shop.example"
    assert request.provider.key_thumbprint == provider_rig.party.jwk().thumbprint()
    assert request.query.credentials[0].claims[2] == ClaimQuery(None, ("address", "locality"))
    assert (request.nonce, request.state) == (parameters["nonce"], parameters["state"])
    assert request.response_uri == RESPONSE_URI
    assert request.recipient.thumbprint == provider_rig.answer_key.thumbprint()
    assert request.recipient.enc == "A256GCM"
    assert request.digest == hashlib.sha256(text.encode()).digest()
    assert request.purpose == "ship your order"


def test_a_signed_request_may_come_in_a_json_envelope(provider_rig):
    compact = provider_rig.signed()
    envelope = json.dumps({"client_id": CLIENT_ID, "request": compact})
    inner, outer = provider_rig.read(compact), provider_rig.read(envelope)
    assert outer.digest == hashlib.sha256(envelope.encode()).digest()
    same = [name for name in inner.__struct_fields__ if name != "digest"]
    assert [getattr(outer, name) for name in same] == [getattr(inner, name) for name in same]


def test_an_unsigned_request_is_claimed(provider_rig):
    provider = provider_rig.read(provider_rig.unsigned()).provider
    assert provider.trust is Trust.CLAIMED
    assert provider.client_id == f"redirect_uri:{RESPONSE_URI}"
    assert provider.name == "shop.example"
    assert provider.key_thumbprint is None
    assert provider.anchor is None


def test_an_unsigned_request_may_leave_the_response_uri_to_its_client_id(provider_rig):
    assert provider_rig.read(provider_rig.unsigned(response_uri=...)).response_uri == RESPONSE_URI


def test_a_certificate_without_dns_name_is_known_by_its_hash(provider_rig):
    party = kit.make_provider(provider_rig.ca, None, subject="Buch & Co")
    client_id = party.hash_client_id()
    text = kit.signed_request(provider_rig.parameters(client_id=client_id), party)
    provider = provider_rig.read(text).provider
    assert provider.trust is Trust.VERIFIED
    assert provider.client_id == client_id
    assert provider.name == f"Buch & Co (certificate {client_id[10:18]})"


@pytest.mark.parametrize(
    ("client_id", "error"),
    [
        ("decentralized_identifier:did:web:shop.example", InvalidArgument),
        ("verifier_attestation:shop.example", InvalidArgument),
        ("openid_federation:https://shop.example", NotSupported),
        ("origin:https://shop.example", NotAllowed),
        ("shop", NotSupported),
        ("https://shop.example", NotSupported),
        ("x509_san_uri:https://shop.example", NotSupported),
        ("redirect_uri:https://shop.example/answer", NotAllowed),
        ("x509_san_dns:other.example", NotAllowed),
        ("x509_san_dns:SHOP.example", InvalidArgument),
        ("x509_san_dns:shop.example.", InvalidArgument),
        ("x509_san_dns:", InvalidArgument),
        ("x509_san_dns:127.0.0.1", InvalidArgument),
        ("x509_hash:" + "A" * 43, NotAllowed),
        ("", InvalidArgument),
        (7, InvalidArgument),
        (..., InvalidArgument),
    ],
)
def test_client_ids_that_a_signed_request_may_not_have(provider_rig, client_id, error):
    with pytest.raises(error):
        provider_rig.read(provider_rig.signed(client_id=client_id))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_id": "redirect_uri:https://other.example/answer"}, NotAllowed),
        ({"client_id": f"redirect_uri:{RESPONSE_URI}/"}, NotAllowed),
        ({"client_id": CLIENT_ID}, NotAllowed),
        ({"client_id": "x509_hash:" + "A" * 43}, NotAllowed),
        ({"client_id": "redirect_uri:http://shop.example/answer", "response_uri": ...}, InvalidArgument),
        ({"client_id": "origin:https://shop.example"}, NotAllowed),
        ({"client_id": ...}, InvalidArgument),
    ],
)
def test_client_ids_that_an_unsigned_request_may_not_have(provider_rig, changes, error):
    with pytest.raises(error):
        provider_rig.read(provider_rig.unsigned(**changes))


@pytest.mark.parametrize(
    ("header", "error"),
    [
        ({"typ": "JWT"}, InvalidArgument),
        ({"typ": ...}, InvalidArgument),
        ({"alg": "none"}, NotSupported),
        ({"alg": "HS256"}, NotSupported),
        ({"alg": "ES384"}, NotSupported),
        ({"alg": ...}, NotSupported),
        ({"crit": ["exp"]}, NotSupported),
        ({"b64": False}, NotSupported),
        ({"jwk": {}}, NotSupported),
        ({"jku": "https://shop.example/jwks"}, NotSupported),
        ({"x5u": "https://shop.example/cert"}, NotSupported),
        ({"x5c": ...}, InvalidArgument),
        ({"x5c": []}, InvalidArgument),
        ({"x5c": "MII"}, InvalidArgument),
        ({"x5c": ["MII"]}, InvalidArgument),
        ({"x5c": [7]}, InvalidArgument),
        ({"kid": 7}, NotAllowed),
    ],
)
def test_headers_that_a_request_object_may_not_have(provider_rig, header, error):
    with pytest.raises(error):
        provider_rig.read(provider_rig.forge(provider_rig.parameters(), **header))


def test_unknown_headers_and_a_kid_do_no_harm(provider_rig):
    text = provider_rig.forge(provider_rig.parameters(), kid="k", cty="json", **{"x5t#S256": "A"})
    assert provider_rig.read(text).provider.trust is Trust.VERIFIED


@pytest.mark.parametrize(
    "text", ["", "x", "a.b", "a.b.c.d", "{}", "[]", "null", '{"request": 7}', " {}", "..", "{"]
)
def test_what_is_no_request_is_malformed(provider_rig, text):
    with pytest.raises(InvalidArgument):
        provider_rig.read(text)


def test_a_lone_surrogate_is_malformed():
    with pytest.raises(InvalidArgument):
        parse_request('{"client_id": "\ud800"}')


def test_requests_are_bounded(provider_rig):
    filler = "x" * (MAX_REQUEST_BYTES - 4000)
    assert provider_rig.read(provider_rig.unsigned(unknown=filler))
    with pytest.raises(InvalidArgument, match="request is larger"):
        provider_rig.read(provider_rig.unsigned(unknown=filler + "x" * 4000))
    with pytest.raises(InvalidArgument, match="request is larger"):
        provider_rig.read("a" * (MAX_REQUEST_BYTES + 1))


def test_a_request_object_with_a_long_chain_header_is_read(provider_rig):
    above = kit.make_ca("Middle", issuer=provider_rig.ca)
    below = kit.make_ca("Lower", issuer=above)
    party = kit.make_provider(below, "shop.example")
    assert len(party.chain) == 3
    text = kit.signed_request(provider_rig.parameters(), party)
    assert provider_rig.read(text).provider.trust is Trust.VERIFIED


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60) | st.text(alphabet='{}[]":,.aA0-_ ', max_size=60))
def test_any_text_ends_in_an_error_of_the_table(text):
    with pytest.raises(OwnerdError):
        read_request(text, anchors=[], now_ms=now_ms())


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_request_with_one_changed_parameter_is_read_or_refused(provider_rig, data):
    good = provider_rig.claimed(purpose="ship your order", aud="https://self-issued.me/v2", exp=10**10)
    name = data.draw(st.sampled_from(sorted(good)))
    junk = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
    value = data.draw(junk | st.lists(junk, max_size=3) | st.dictionaries(st.text(max_size=5), junk))
    try:
        request = provider_rig.read(json.dumps({**good, name: value}))
    except OwnerdError:
        return
    assert request.provider.trust is Trust.CLAIMED
