"""Attack: make a request pass for a provider's own without its key, or with its key for another purpose."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from demo import provider_kit as kit
from tests.rigs.provider import CLIENT_ID, forge_request

from ownerd.model.encoding import format_b64u, parse_b64u
from ownerd.model.errors import InvalidArgument, NotAllowed, NotSupported, OwnerdError
from ownerd.model.request import Trust


def segments(text):
    return text.split(".")


def test_every_changed_character_of_a_signed_request_is_noticed(provider_rig):
    text = provider_rig.signed()
    assert provider_rig.read(text)
    for place in range(0, len(text), 11):
        swapped = "A" if text[place] != "A" else "B"
        with pytest.raises(OwnerdError):
            provider_rig.read(text[:place] + swapped + text[place + 1 :])


def test_a_payload_under_the_signature_of_another_is_refused(provider_rig):
    genuine, other = segments(provider_rig.signed()), segments(provider_rig.signed())
    for mixed in (
        [genuine[0], other[1], genuine[2]],
        [genuine[0], genuine[1], other[2]],
    ):
        with pytest.raises(NotAllowed, match="signature"):
            provider_rig.read(".".join(mixed))


def test_a_strangers_key_beside_a_providers_certificate_is_refused(provider_rig):
    header = {"alg": "ES256", "typ": "oauth-authz-req+jwt", "x5c": provider_rig.party.x5c()}
    stranger = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(NotAllowed, match="signature"):
        provider_rig.read(forge_request(header, provider_rig.parameters(), stranger))


@pytest.mark.parametrize("alg", ["none", "None", "nOnE", ""])
@pytest.mark.parametrize("signature", ["", format_b64u(bytes(64))])
def test_no_signature_is_no_signature_however_it_is_spelt(provider_rig, alg, signature):
    header, payload, _ = segments(provider_rig.forge(provider_rig.parameters(), alg=alg))
    with pytest.raises(NotSupported):
        provider_rig.read(f"{header}.{payload}.{signature}")


def test_a_mac_under_the_public_key_is_refused(provider_rig):
    header, payload, _ = segments(provider_rig.forge(provider_rig.parameters(), alg="HS256"))
    public = provider_rig.party.key.public_key()
    mac = hmac.HMAC(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), hashes.SHA256())
    mac.update(f"{header}.{payload}".encode())
    with pytest.raises(NotSupported):
        provider_rig.read(f"{header}.{payload}.{format_b64u(mac.finalize())}")


def test_an_all_zero_or_der_signature_is_refused(provider_rig):
    header, payload, signature = segments(provider_rig.signed())
    with pytest.raises(NotAllowed):
        provider_rig.read(f"{header}.{payload}.{format_b64u(bytes(64))}")
    der = provider_rig.party.key.sign(f"{header}.{payload}".encode(), ec.ECDSA(hashes.SHA256()))
    with pytest.raises(NotSupported):
        provider_rig.read(f"{header}.{payload}.{format_b64u(der)}")
    with pytest.raises(InvalidArgument):
        provider_rig.read(f"{header}.{payload}.{signature}=")


def test_a_jwt_that_the_provider_signed_for_something_else_is_no_request(provider_rig):
    for typ in ("JWT", "at+jwt", "kb+jwt", "dc+sd-jwt", "OAUTH-AUTHZ-REQ+JWT"):
        with pytest.raises(InvalidArgument, match="typ"):
            provider_rig.read(provider_rig.forge(provider_rig.parameters(), typ=typ))


def test_a_key_that_the_sender_brings_along_is_not_used(provider_rig):
    stranger = kit.Party(ec.generate_private_key(ec.SECP256R1()))
    header = {
        "alg": "ES256",
        "typ": "oauth-authz-req+jwt",
        "x5c": provider_rig.party.x5c(),
        "jwk": stranger.jwk().export_public(as_dict=True),
    }
    with pytest.raises(NotSupported, match="jwk"):
        provider_rig.read(forge_request(header, provider_rig.parameters(), stranger.key))


@pytest.mark.parametrize(
    "beside",
    [
        {"nonce": "attackers-own-nonce-1234"},
        {"response_uri": "https://evil.example/answer"},
        {"client_metadata": {}},
        {"state": "x"},
        {"dcql_query": {}},
        {"request_uri": "https://evil.example/request"},
        {"anything": "else"},
    ],
)
def test_parameters_beside_a_signed_object_are_refused(provider_rig, beside):
    envelope = {"client_id": CLIENT_ID, "request": provider_rig.signed(), **beside}
    with pytest.raises(InvalidArgument, match="beside"):
        provider_rig.read(json.dumps(envelope))


@pytest.mark.parametrize(
    "outer", ["x509_san_dns:evil.example", "redirect_uri:https://shop.example/answer", "", None, ...]
)
def test_the_outer_client_id_must_be_the_inner_one(provider_rig, outer):
    envelope = {"request": provider_rig.signed()}
    if outer is not ...:
        envelope["client_id"] = outer
    with pytest.raises(InvalidArgument, match="client_id"):
        provider_rig.read(json.dumps(envelope))


def test_stripping_the_signature_does_not_make_a_verified_request(provider_rig):
    payload = json.loads(parse_b64u(segments(provider_rig.signed())[1]))
    with pytest.raises(NotAllowed, match="signed"):
        provider_rig.read(json.dumps(payload))
    payload["client_id"] = f"redirect_uri:{payload['response_uri']}"
    assert provider_rig.read(json.dumps(payload)).provider.trust is Trust.CLAIMED


def test_a_claimed_request_never_carries_what_a_verified_one_has(provider_rig):
    verified = provider_rig.read(provider_rig.signed()).provider
    claimed = provider_rig.read(provider_rig.unsigned()).provider
    assert claimed.client_id != verified.client_id
    assert (claimed.trust, claimed.key_thumbprint, claimed.anchor) == (Trust.CLAIMED, None, None)
