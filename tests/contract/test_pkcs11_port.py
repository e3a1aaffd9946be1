"""What PKCS#11 tokens do beyond the card contract, with real SoftHSM2 tokens."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11 import Attribute, MechanismFlag, ObjectClass
from pkcs11.constants import CertificateType
from tests.rigs.softhsm import PIN, HsmCard, SoftHsm, left_open
from tests.rigs.tokens import FakeUi

from ownerd.ledger.approval import verify_card
from ownerd.ledger.jwk import parse_jwk
from ownerd.model.errors import KeysMissing, TokenMissing, Unsupported
from ownerd.model.token import SecretHandle, TokenAnswer, TokenCredential
from ownerd.tokens.pkcs11_port import Pkcs11Tokens
from ownerd.tokens.pkcs11_reference import parse_reference

CHALLENGE = hashlib.sha256(b"challenge").digest()


async def enrol(tokens: Pkcs11Tokens, name: str = "card", ui: FakeUi | None = None) -> TokenCredential:
    (info,) = [info for info in await tokens.present() if info.name == name]
    return await tokens.enrol(info.id, user_verification=True, ui=ui or FakeUi())


def fresh(curve: ec.EllipticCurve) -> tuple[ec.EllipticCurvePrivateKey, SecretHandle]:
    ours = ec.generate_private_key(curve)
    point = ours.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return ours, SecretHandle(point)


def use_once(softhsm: SoftHsm, *handles: SecretHandle) -> tuple[TokenCredential, TokenAnswer]:
    async def use() -> tuple[TokenCredential, TokenAnswer]:
        tokens = softhsm.tokens()
        credential = await enrol(tokens)
        return credential, await tokens.approve(credential, CHALLENGE, handles, ui=FakeUi())

    credential, answer = asyncio.run(use())
    verify_card(answer.approval, CHALLENGE, credential)
    return credential, answer


def test_the_secret_is_the_shared_x_coordinate_and_the_token_is_software(softhsm: SoftHsm) -> None:
    ours, handle = fresh(ec.SECP256R1())
    credential, answer = use_once(softhsm, handle)
    theirs = parse_jwk(credential.agreement_key).key
    assert answer.secrets[0].reveal() == ours.exchange(ec.ECDH(), theirs)
    assert credential.software
    assert credential.public_key != credential.agreement_key


def test_a_p384_token_signs_es384_and_gives_48_bytes(softhsm: SoftHsm) -> None:
    softhsm.add_token("big")
    softhsm.delete_token("card")
    softhsm.restart()
    softhsm.add_ec_key(b"\x07", label="big", curve="P-384")

    async def use() -> tuple[TokenCredential, TokenAnswer, bytes]:
        tokens = softhsm.tokens()
        credential = await enrol(tokens, "big")
        ours, handle = fresh(ec.SECP384R1())
        answer = await tokens.approve(credential, CHALLENGE, [handle], ui=FakeUi())
        return credential, answer, ours.exchange(ec.ECDH(), parse_jwk(credential.agreement_key).key)

    credential, answer, expected = asyncio.run(use())
    verify_card(answer.approval, CHALLENGE, credential)
    assert answer.approval.algorithm == "ES384"
    assert (answer.secrets[0].reveal(), len(expected)) == (expected, 48)


def test_an_rsa_token_signs_and_holds_no_secret(softhsm: SoftHsm) -> None:
    softhsm.add_token("rsa")
    softhsm.add_rsa_key(b"\x09", label="rsa")

    async def use() -> tuple[TokenCredential, TokenAnswer]:
        tokens, ui = softhsm.tokens(), FakeUi()
        credential = await enrol(tokens, "rsa")
        answer = await tokens.approve(credential, CHALLENGE, (), ui=FakeUi())
        with pytest.raises(Unsupported):
            await tokens.approve(credential, CHALLENGE, [fresh(ec.SECP256R1())[1]], ui=ui)
        assert ui.names == []
        return credential, answer

    credential, answer = asyncio.run(use())
    verify_card(answer.approval, CHALLENGE, credential)
    assert answer.approval.algorithm == "RS256"
    assert not credential.opens


def test_a_token_without_a_key_that_signs_says_so(softhsm: SoftHsm) -> None:
    softhsm.add_token("empty")
    with pytest.raises(KeysMissing):
        asyncio.run(enrol(softhsm.tokens(), "empty"))


def test_two_keys_of_one_id_are_both_left_alone(softhsm: SoftHsm) -> None:
    """Two private keys with one CKA_ID could be taken for each other: neither is used."""
    softhsm.add_ec_key(b"\x01", uses=MechanismFlag.SIGN)
    with pytest.raises(KeysMissing):
        asyncio.run(enrol(softhsm.tokens()))


@pytest.mark.parametrize("first", ["card", "other"])
def test_two_tokens_at_once_are_told_apart_in_both_orders(softhsm: SoftHsm, first: str) -> None:
    softhsm.add_token("other", b"97531")
    softhsm.add_ec_key(b"\x01", label="other", pin=b"97531")
    pins = {"card": PIN, "other": b"97531"}

    async def use() -> None:
        tokens = softhsm.tokens()
        names = [first, "other" if first == "card" else "card"]
        found = {name: await enrol(tokens, name, FakeUi(pins=[pins[name]])) for name in names}
        again = softhsm.tokens()
        for name in names:
            assert await again.locate([found[name]]) == found[name]
        assert await again.locate([found[name] for name in names]) == found[first]
        _, handle = fresh(ec.SECP256R1())
        answers = [
            await again.approve(found[name], CHALLENGE, [handle], ui=FakeUi(pins=[pins[name]]))
            for name in names
        ]
        for name, answer in zip(names, answers, strict=True):
            verify_card(answer.approval, CHALLENGE, found[name])
        assert answers[0].secrets != answers[1].secrets

    asyncio.run(use())


def test_a_token_that_hides_its_public_objects_is_found_by_serial_and_label(softhsm: SoftHsm) -> None:
    softhsm.add_token("shy")
    hidden = {Attribute.PRIVATE: True}
    softhsm.add_ec_key(b"\x01", label="shy", public=hidden)

    async def use() -> None:
        tokens = softhsm.tokens()
        credential = await enrol(tokens, "shy")
        reference = parse_reference(credential.credential_id)
        assert (reference.identity.label, reference.sign) == ("shy", b"\x01")
        assert await softhsm.tokens().locate([credential]) == credential
        await softhsm.tokens().approve(credential, CHALLENGE, (), ui=FakeUi())
        softhsm.delete_token("shy")
        softhsm.restart()
        softhsm.add_token("shy")  # the same label, and another serial number
        with pytest.raises(TokenMissing):
            await softhsm.tokens().locate([credential])

    asyncio.run(use())


def test_a_certificate_is_as_good_as_a_public_key(softhsm: SoftHsm) -> None:
    softhsm.add_token("eid")
    softhsm.add_ec_key(b"\x05", label="eid", uses=MechanismFlag.SIGN)
    with softhsm.token("eid").open(rw=True, user_pin=PIN.decode()) as session:
        (public,) = session.get_objects({Attribute.CLASS: ObjectClass.PUBLIC_KEY})
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public[Attribute.EC_POINT][2:])
        session.create_object(
            {
                Attribute.CLASS: ObjectClass.CERTIFICATE,
                Attribute.CERTIFICATE_TYPE: CertificateType.X_509,
                Attribute.TOKEN: True,
                Attribute.ID: b"\x05",
                Attribute.SUBJECT: b"",
                Attribute.VALUE: certificate(key),
            }
        )
        public.destroy()

    async def use() -> None:
        credential = await enrol(softhsm.tokens(), "eid")
        assert parse_jwk(credential.public_key).key == key
        answer = await softhsm.tokens().approve(credential, CHALLENGE, (), ui=FakeUi())
        verify_card(answer.approval, CHALLENGE, credential)

    asyncio.run(use())


def test_a_key_that_asks_each_time_gets_the_one_typed_pin_again(pkcs11_card: HsmCard) -> None:
    pkcs11_card.add_token("eid")
    pkcs11_card.add_ec_key(
        b"\x05", label="eid", uses=MechanismFlag.SIGN, private={Attribute.ALWAYS_AUTHENTICATE: True}
    )

    async def use() -> None:
        tokens, ui = pkcs11_card.tokens(), FakeUi()
        credential = await enrol(tokens, "eid")
        pkcs11_card.calls()
        answer = await tokens.approve(credential, CHALLENGE, (), ui=ui)
        verify_card(answer.approval, CHALLENGE, credential)
        assert ui.names == ["pin"]

    asyncio.run(use())
    calls = pkcs11_card.calls()
    order = [call.split()[:2] for call in calls if call.startswith(("C_Login", "C_Sign", "C_Logout"))]
    assert [name for name, _ in order] == ["C_Login", "C_SignInit", "C_Login", "C_Sign", "C_Logout"]
    assert [user for name, user in order if name == "C_Login"] == ["1", "2"]
    assert left_open(calls) == (0, 0)


def certificate(key: ec.EllipticCurvePublicKey) -> bytes:
    """A certificate for ``key`` by somebody."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "eid")])
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key)
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + dt.timedelta(1))
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.DER)
