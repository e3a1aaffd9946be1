"""Checks of a token's answer, one by one."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256, CoseKey
from fido2.webauthn import Aaguid, AttestedCredentialData, AuthenticatorData
from msgspec.structs import replace

from ownerd.core.seal import key_check
from ownerd.ledger.approval import client_data
from ownerd.model.encoding import format_b64u
from ownerd.model.errors import ProtocolBroken, WrongKey
from ownerd.model.secret import Secret
from ownerd.model.token import SecretHandle, TokenCredential
from ownerd.tokens import verify
from ownerd.tokens.ctap import Assertion, parse_assertion

FLAG = AuthenticatorData.FLAG
RP_HASH = hashlib.sha256(b"ownerd:owner").digest()
KEY = ec.derive_private_key(5, ec.SECP256R1())
COSE = ES256.from_cryptography_key(KEY.public_key())
ID = b"c" * 32
CHALLENGE = bytes(32)
HASH = hashlib.sha256(client_data(CHALLENGE)).digest()
CREATED = FLAG.UP | FLAG.AT | FLAG.ED
CREDENTIAL = TokenCredential(
    type="fido2",
    id=verify.token_id(ID),
    credential_id=ID,
    public_key={"kty": "EC", "crv": "P-256", "x": format_b64u(COSE[-2]), "y": format_b64u(COSE[-3])},
    user_verification=False,
    aaguid="",
    firmware=1,
    software=True,
    name="token",
)


def created(
    *,
    rp_hash: bytes = RP_HASH,
    flags: FLAG = CREATED,
    credential_id: bytes = ID,
    key: Any = COSE,
    hmac_secret: Any = True,
) -> AuthenticatorData:
    attested = AttestedCredentialData.create(Aaguid.NONE, credential_id, key) if flags & FLAG.AT else b""
    extensions = {"hmac-secret": hmac_secret} if flags & FLAG.ED else None
    return AuthenticatorData.create(rp_hash, flags, 0, attested, extensions)


def asserted(flags: FLAG = FLAG.UP, *, rp_hash: bytes = RP_HASH, **changes: Any) -> Assertion:
    data = AuthenticatorData.create(rp_hash, flags, 0)
    fields = {
        1: {"type": "public-key", "id": ID},
        2: data,
        3: KEY.sign(data + HASH, ec.ECDSA(hashes.SHA256())),
    }
    return parse_assertion({**fields, **{int(key[1:]): value for key, value in changes.items()}})


def test_a_good_creation_gives_id_and_key() -> None:
    made = verify.verify_creation(created(flags=CREATED | FLAG.UV), user_verified=True)
    assert made.credential_id == ID
    assert made.public_key == CREDENTIAL.public_key


@pytest.mark.parametrize(
    "data",
    [
        created(rp_hash=bytes(32)),
        created(flags=CREATED & ~FLAG.UP),
        created(flags=CREATED & ~FLAG.AT),
        created(flags=CREATED & ~FLAG.ED),
        created(hmac_secret=False),
        created(hmac_secret=1),
        created(credential_id=b""),
        created(credential_id=b"c" * 1024),
        created(key=CoseKey({**COSE, 3: -8})),
        created(key=CoseKey({**COSE, 1: 1})),
        created(key=CoseKey({**COSE, -1: 2})),
        created(key=CoseKey({**COSE, -2: COSE[-3]})),
        created(key=CoseKey({**COSE, -2: COSE[-2][:31]})),
        created(key=CoseKey({**COSE, -3: "text"})),
        created(key=CoseKey({key: value for key, value in COSE.items() if key != -3})),
    ],
)
def test_a_bad_creation_breaks_the_protocol(data: AuthenticatorData) -> None:
    with pytest.raises(ProtocolBroken):
        verify.verify_creation(data, user_verified=False)


def test_a_pin_that_was_given_must_show_in_the_flags() -> None:
    with pytest.raises(ProtocolBroken):
        verify.verify_creation(created(), user_verified=True)


def test_a_good_approval_is_returned_whole() -> None:
    answer = asserted()
    approval = verify.verify_approval(answer, CREDENTIAL, CHALLENGE, client_data(CHALLENGE))
    assert approval.authenticator_data == bytes(answer.auth_data)
    assert approval.token == CREDENTIAL.id


@pytest.mark.parametrize(
    "answer",
    [
        asserted(FLAG(0)),
        asserted(FLAG.UP | FLAG.UV),
        asserted(rp_hash=bytes(32)),
        asserted(k3=b"\x30\x00"),
        asserted(k3=b""),
        asserted(k3=b"\0" * 73),
        asserted(k1={"type": "public-key"}),
        asserted(k1={"type": "other", "id": ID}),
        asserted(k1={"type": "public-key", "id": "text"}),
    ],
)
def test_a_bad_approval_breaks_the_protocol(answer: Assertion) -> None:
    with pytest.raises(ProtocolBroken):
        verify.verify_approval(answer, CREDENTIAL, CHALLENGE, client_data(CHALLENGE))


def test_an_approval_of_another_challenge_or_mode_breaks_the_protocol() -> None:
    other = b"\1" * 32
    with pytest.raises(ProtocolBroken):
        verify.verify_approval(asserted(), CREDENTIAL, other, client_data(other))
    verified = replace(CREDENTIAL, user_verification=True)
    with pytest.raises(ProtocolBroken):
        verify.verify_approval(asserted(), verified, CHALLENGE, client_data(CHALLENGE))


def test_an_answer_for_another_credential_is_a_wrong_key() -> None:
    answer = asserted(k1={"type": "public-key", "id": b"d" * 32})
    with pytest.raises(WrongKey):
        verify.verify_approval(answer, CREDENTIAL, CHALLENGE, client_data(CHALLENGE))


def test_authenticator_data_that_is_too_large_to_keep_is_refused() -> None:
    data = AuthenticatorData.create(RP_HASH, FLAG.UP | FLAG.ED, 0, b"", {"x": b"\0" * 1024})
    answer = asserted(k2=data, k3=KEY.sign(data + HASH, ec.ECDSA(hashes.SHA256())))
    with pytest.raises(ProtocolBroken):
        verify.verify_approval(answer, CREDENTIAL, CHALLENGE, client_data(CHALLENGE))


@pytest.mark.parametrize(("output", "secrets", "protocol"), [(48, 1, 2), (80, 2, 2), (32, 1, 1), (64, 2, 1)])
def test_an_encrypted_secret_has_exactly_one_length(output: int, secrets: int, protocol: int) -> None:
    def data(size: int) -> AuthenticatorData:
        flags = FLAG.UP | FLAG.ED
        return AuthenticatorData.create(RP_HASH, flags, 0, b"", {"hmac-secret": b"\0" * size})

    verify.verify_secret_output(data(output), secrets, protocol)
    for wrong in (output - 16, output + 16, output - 1, 0, 32 if output != 32 else 64):
        with pytest.raises(ProtocolBroken):
            verify.verify_secret_output(data(wrong), secrets, protocol)
    with pytest.raises(ProtocolBroken):
        verify.verify_secret_output(asserted().auth_data, secrets, protocol)


def test_secrets_must_be_as_many_as_handles_and_as_their_check_values_say() -> None:
    one, two = Secret(b"1" * 32), Secret(b"2" * 32)
    handles = [SecretHandle(b"a" * 32, key_check(one)), SecretHandle(b"b" * 32)]
    verify.verify_secrets([one, two], handles, key_check)
    with pytest.raises(WrongKey):
        verify.verify_secrets([two, one], handles, key_check)
    for wrong in ([], [one], [one, two, two], [one, Secret(b"2" * 31)]):
        with pytest.raises(ProtocolBroken):
            verify.verify_secrets(wrong, handles, key_check)


def test_one_secret_for_two_salts_breaks_the_protocol() -> None:
    same = Secret(b"s" * 32)
    with pytest.raises(ProtocolBroken):
        verify.verify_secrets([same, same], [SecretHandle(b"a" * 32), SecretHandle(b"b" * 32)], key_check)


@pytest.mark.parametrize("value", [None, "8", -1, 256, True, 2.0])
def test_a_count_is_a_small_integer(value: Any) -> None:
    assert verify.small_count(8) == 8
    with pytest.raises(ProtocolBroken):
        verify.small_count(value)
