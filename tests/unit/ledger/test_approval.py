"""Approvals: everything that must be so is checked, each check alone."""

import pytest
from msgspec.structs import replace
from tests.rigs.ledgers import TestToken

from ownerd.ledger.approval import client_data, verify_fido2
from ownerd.model.errors import BadSignature, Malformed
from ownerd.model.token import TokenCredential

CHALLENGE = bytes(range(32))
EXTENSION = b"\xa1\x6bhmac-secret\x58\x40" + bytes(64)


def test_client_data_is_exactly_this():
    assert client_data(CHALLENGE) == (
        b'{"type":"webauthn.get","challenge":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",'
        b'"origin":"ownerd:owner","crossOrigin":false}'
    )
    with pytest.raises(Malformed):
        client_data(b"short")


@pytest.mark.parametrize("extensions", [b"", EXTENSION])
@pytest.mark.parametrize("user_verification", [False, True])
def test_a_good_approval_holds(user_verification, extensions):
    token = TestToken(user_verification=user_verification)
    verify_fido2(token.approve(CHALLENGE, extensions=extensions), CHALLENGE, token.enrolled)


def test_a_token_credential_serves_as_well():
    token = TestToken()
    facts = token.enrolled
    credential = TokenCredential(
        type="fido2",
        id=facts.id,
        credential_id=facts.credential_id,
        public_key=facts.public_key,
        user_verification=False,
        aaguid=facts.aaguid,
        firmware=1,
        software=True,
        name="test",
    )
    verify_fido2(token.approve(CHALLENGE), CHALLENGE, credential)


@pytest.mark.parametrize(
    "how",
    [
        {"rp_id": "example.com"},
        {"rp_id": "ownerd:Owner"},
        {"flags": 0x00},
        {"flags": 0x04},
        {"flags": 0x05},
    ],
    ids=str,
)
def test_signed_by_the_token_but_not_what_was_asked(how):
    token = TestToken()
    with pytest.raises(BadSignature):
        verify_fido2(token.approve(CHALLENGE, **how), CHALLENGE, token.enrolled)


def test_a_token_enrolled_with_verification_never_approves_without():
    token = TestToken(user_verification=True)
    with pytest.raises(BadSignature):
        verify_fido2(token.approve(CHALLENGE, flags=0x01), CHALLENGE, token.enrolled)


@pytest.mark.parametrize("flags", [0x41, 0x81])
def test_parts_and_flags_agree(flags):
    token = TestToken()
    with pytest.raises(Malformed):
        verify_fido2(token.approve(CHALLENGE, flags=flags), CHALLENGE, token.enrolled)


def test_unannounced_bytes_are_refused_though_signed():
    token = TestToken()
    data = token.authenticator_data()
    token.authenticator_data = lambda: data + b"more"
    with pytest.raises(Malformed):
        verify_fido2(token.approve(CHALLENGE), CHALLENGE, token.enrolled)


def test_short_authenticator_data_is_malformed():
    token = TestToken()
    approval = token.approve(CHALLENGE)
    with pytest.raises(Malformed):
        verify_fido2(
            replace(approval, authenticator_data=approval.authenticator_data[:36]), CHALLENGE, token.enrolled
        )


def test_another_challenge_token_or_credential_is_refused():
    token, other = TestToken(), TestToken("token-2")
    approval = token.approve(CHALLENGE)
    with pytest.raises(BadSignature):
        verify_fido2(approval, bytes(32), token.enrolled)
    with pytest.raises(BadSignature):
        verify_fido2(approval, CHALLENGE, other.enrolled)
    with pytest.raises(BadSignature):
        verify_fido2(replace(approval, token="token-2"), CHALLENGE, token.enrolled)
    with pytest.raises(BadSignature):
        verify_fido2(replace(approval, credential_id=b"other"), CHALLENGE, token.enrolled)
    forged = replace(token.enrolled, public_key=other.enrolled.public_key)
    with pytest.raises(BadSignature):
        verify_fido2(approval, CHALLENGE, forged)


@pytest.mark.parametrize("part", ["client_data_json", "authenticator_data", "signature"])
def test_every_flipped_byte_is_refused(part):
    token = TestToken()
    approval = token.approve(CHALLENGE, extensions=EXTENSION)
    data = getattr(approval, part)
    for place in range(len(data)):
        spoiled = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with pytest.raises((BadSignature, Malformed)):
            verify_fido2(replace(approval, **{part: spoiled}), CHALLENGE, token.enrolled)


@pytest.mark.parametrize("type_", ["webauthn.create", "payment.get"])
def test_client_data_of_another_type_or_origin_is_refused_though_signed(type_, monkeypatch):
    token = TestToken()
    other = client_data(CHALLENGE).replace(b"webauthn.get", type_.encode())
    monkeypatch.setattr("tests.rigs.ledgers.client_data", lambda _: other)
    with pytest.raises(BadSignature):
        verify_fido2(token.approve(CHALLENGE), CHALLENGE, token.enrolled)
