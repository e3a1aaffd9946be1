"""Attack: ask under an attestation that is another's, expired, for other uses, or nobody's."""

from __future__ import annotations

import json
import time

import pytest
from demo import identity_kit as kit
from tests.rigs.provider import HOST, forge_request, now_ms

from ownerd.credential.request_object import read_request
from ownerd.model.encoding import parse_b64u
from ownerd.model.errors import InvalidArgument, NotAllowed, NotSupported, OwnerdError


def test_an_attestation_for_one_name_does_not_serve_another(provider_rig):
    signer = provider_rig.attested("villain.example")
    signer.subject = HOST
    with pytest.raises(NotAllowed, match="another client id"):
        provider_rig.read(provider_rig.signed_as(signer))


def test_the_attestation_of_another_provider_is_useless_without_its_key(provider_rig):
    victim = provider_rig.attested()
    thief = kit.AttestedSigner(HOST, victim.attestation, kit.new_signing_key())
    with pytest.raises(NotAllowed, match="signature of the request object"):
        provider_rig.read(provider_rig.signed_as(thief))


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"exp": 1}, NotAllowed),
        ({"exp": int(time.time()) - 61}, NotAllowed),
        ({"exp": None}, InvalidArgument),
        ({"exp": True}, InvalidArgument),
        ({"exp": "9999999999"}, InvalidArgument),
        ({"exp": 1e300}, InvalidArgument),
        ({"nbf": int(time.time()) + 600}, NotAllowed),
        ({"iat": int(time.time()) + 600}, NotAllowed),
        ({"nbf": "0"}, InvalidArgument),
        ({"iat": None}, InvalidArgument),
        ({"iss": "https://stranger.example"}, NotAllowed),
        ({"iss": "https://attester.example/"}, NotAllowed),
        ({"iss": None}, NotAllowed),
        ({"iss": ["https://attester.example"]}, NotAllowed),
        ({"sub": None}, NotAllowed),
        ({"sub": "SHOP.EXAMPLE"}, NotAllowed),
        ({"sub": "verifier_attestation:shop.example"}, NotAllowed),
        ({"aud": "https://other-wallet.example"}, NotAllowed),
        ({"aud": []}, NotAllowed),
        ({"cnf": None}, InvalidArgument),
        ({"cnf": {}}, InvalidArgument),
        ({"cnf": {"kid": "x"}}, InvalidArgument),
        ({"cnf": {"jwk": {}}}, InvalidArgument),
        ({"redirect_uris": []}, NotAllowed),
        ({"redirect_uris": None}, InvalidArgument),
        ({"redirect_uris": "https://shop.example/answer"}, InvalidArgument),
        ({"redirect_uris": ["https://shop.example/answer"] * 65}, InvalidArgument),
        ({"redirect_uris": ["https://shop.example/", ["https://shop.example/answer"]]}, NotAllowed),
    ],
)
def test_an_attestation_that_does_not_hold_is_refused(provider_rig, claims, error):
    with pytest.raises(error):
        provider_rig.read(provider_rig.signed_as(provider_rig.attested(**claims)))


def test_an_attestation_needs_an_end(provider_rig):
    signer = provider_rig.attested()
    claims = json.loads(parse_b64u(signer.attestation.split(".")[1]))
    del claims["exp"]
    issuer = provider_rig.attestation_issuer
    signer.attestation = kit.sign_jwt({"typ": "verifier-attestation+jwt"}, claims, issuer.key)
    with pytest.raises(InvalidArgument, match="exp"):
        provider_rig.read(provider_rig.signed_as(signer))


@pytest.mark.parametrize(
    ("header", "error"),
    [
        ({"typ": "JWT"}, InvalidArgument),
        ({"typ": "oauth-authz-req+jwt"}, InvalidArgument),
        ({"jwk": {}}, NotSupported),
        ({"x5c": []}, NotSupported),
        ({"jwt": "x"}, NotSupported),
        ({"crit": ["exp"]}, NotSupported),
    ],
)
def test_an_attestation_of_another_type_or_with_a_key_of_its_own_is_refused(provider_rig, header, error):
    signer = provider_rig.attested()
    claims = json.loads(parse_b64u(signer.attestation.split(".")[1]))
    typed = {"typ": "verifier-attestation+jwt", **header}
    key = provider_rig.attestation_issuer.key.get_op_key("sign")
    signer.attestation = forge_request({"alg": "ES256", **typed}, claims, key)
    with pytest.raises(error):
        provider_rig.read(provider_rig.signed_as(signer))


def test_an_attester_of_the_same_name_is_not_the_attester(provider_rig):
    impostor = kit.AttestationIssuer(provider_rig.attestation_issuer.issuer)
    with pytest.raises(NotAllowed, match="signature of the verifier attestation"):
        provider_rig.read(provider_rig.signed_as(kit.make_attested(impostor, HOST)))
    attested_by_itself = kit.AttestedSigner(HOST, "", impostor.key)
    attested_by_itself.attestation = impostor.attest(HOST, impostor.key)
    with pytest.raises(NotAllowed):
        provider_rig.read(provider_rig.signed_as(attested_by_itself))


def test_without_attesters_nobody_is_attested(provider_rig):
    text = provider_rig.signed_as(provider_rig.attested())
    with pytest.raises(NotAllowed, match=r"trust\.d"):
        read_request(text, anchors=provider_rig.anchors, now_ms=now_ms())


@pytest.mark.parametrize("jwt", [..., None, 7, "", "a.b.c", ["x"], "eyJ" + "A" * 40_000 + ".e30.AAAA"])
def test_what_is_no_attestation_is_refused(provider_rig, jwt):
    signer = provider_rig.attested()
    request = provider_rig.parameters(client_id=signer.client_id)
    header = {} if jwt is ... else {"jwt": jwt}
    with pytest.raises(InvalidArgument):
        provider_rig.read(kit.sign_request(request, signer.key, header))


@pytest.mark.parametrize(
    "subject",
    [
        "",
        " shop",
        "shop\u202eelpmaxe",
        "sh\u200bop",
        "shop\n.example",
        "x" * 65,
        "sh\u043ep.example",
        "SHOP.example",
    ],
)
def test_an_attested_name_that_hides_something_is_refused(provider_rig, subject):
    with pytest.raises(InvalidArgument):
        provider_rig.read(provider_rig.signed_as(provider_rig.attested(subject)))


def test_an_oversized_attestation_is_refused(provider_rig):
    assert provider_rig.read(provider_rig.signed_as(provider_rig.attested(filler="x" * 20_000)))
    with pytest.raises(InvalidArgument, match="too large"):
        provider_rig.read(provider_rig.signed_as(provider_rig.attested(filler="x" * 30_000)))


JUNK = [None, True, 7, -1, 1.5, "", "x", [], {}, [[]], [{}], {"jwk": []}, "\u202e", "x" * 5000, 10**40]


def test_any_junk_in_an_attestation_is_an_error_of_the_table(provider_rig):
    issuer, key = provider_rig.attestation_issuer, kit.new_signing_key()
    good = {"nbf": 1, "aud": "https://self-issued.me/v2", "redirect_uris": ["https://shop.example/answer"]}
    assert provider_rig.read(
        provider_rig.signed_as(kit.AttestedSigner(HOST, issuer.attest(HOST, key, **good), key))
    )
    for name in ("iss", "sub", "exp", "nbf", "iat", "aud", "cnf", "redirect_uris"):
        for value in JUNK:
            attestation = issuer.attest(HOST, key, **{**good, name: value})
            try:
                provider_rig.read(provider_rig.signed_as(kit.AttestedSigner(HOST, attestation, key)))
            except OwnerdError:
                continue
            assert (name, value) in [(late, early) for late in ("iat", "nbf") for early in (7, -1)] + [
                ("exp", 10**40)
            ]
