"""The PIV commands, against the software card without a reader."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.rigs._ctap_nfc import Apdu
from tests.rigs._piv_applet import CERTIFICATE_9C, CHUID, DISCOVERY, PIN, PivApplet, certificate, tlv
from tests.rigs.piv import rsa_key

from ownerd.ledger.approval import verify_card
from ownerd.model.errors import (
    InvalidArgument,
    ManagementKeyWrong,
    OwnerdError,
    PinAtRisk,
    PinBlocked,
    PinWrong,
    ProtocolBroken,
    TokenMissing,
    Unsupported,
    WrongKey,
)
from ownerd.model.secret import Secret
from ownerd.model.token import SecretHandle, TokenAnswer, TokenCredential
from ownerd.tokens.piv_card import PivCard, padded_pin
from ownerd.tokens.piv_keys import PublicKeys
from ownerd.tokens.piv_setup import generate
from ownerd.tokens.piv_work import CardAct, Match, credential_of, look, match

CHALLENGE = bytes(range(32))
CURVES = [ec.SECP256R1(), ec.SECP384R1()]


class Wire:
    """An applet without PC/SC, powered up."""

    def __init__(self, applet: PivApplet, *, is_t0: bool = False) -> None:
        self.applet, self.is_t0 = applet, is_t0
        self.raw: list[bytes] = []
        applet.power_on()

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        self.raw.append(apdu)
        answer = self.applet.transmit(apdu)
        return answer[:-2], int.from_bytes(answer[-2:])


def card_of(applet: PivApplet, **options: Any) -> PivCard:
    return PivCard(Wire(applet, **options))


def applet_of(curve: Any = CURVES[0], **options: Any) -> PivApplet:
    return PivApplet(
        signing=ec.generate_private_key(curve), agreement=ec.generate_private_key(curve), **options
    )


def enrolled(applet: PivApplet, generated: PublicKeys | None = None) -> TokenCredential:
    made = credential_of(card_of(applet).identity(), "card", generated or PublicKeys())
    assert made is not None
    return made


def handle(curve: Any) -> tuple[SecretHandle, Any]:
    key = ec.generate_private_key(curve)
    return SecretHandle(key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)), key


def approve(applet: PivApplet, credential: TokenCredential, *handles: SecretHandle) -> TokenAnswer:
    act = CardAct(credential, CHALLENGE, handles)
    return act.answer(*act.run(card_of(applet), padded_pin(Secret(PIN), None)))


# -- the work --


@pytest.mark.parametrize("curve", CURVES, ids=["P-256", "P-384"])
def test_signatures_and_secrets_are_those_of_the_cards_keys(curve: Any) -> None:
    applet = applet_of(curve)
    credential = enrolled(applet)
    (first, mine), (second, other) = handle(curve), handle(curve)
    answer = approve(applet, credential, first, second)
    verify_card(answer.approval, CHALLENGE, credential)
    public = applet.keys[0x9D].public_key()
    assert [secret.reveal() for secret in answer.secrets] == [
        mine.exchange(ec.ECDH(), public),
        other.exchange(ec.ECDH(), public),
    ]
    assert [bool(one.data) for one in applet.log if one.ins == 0x20] == [False, True]


def test_an_rsa_card_approves_in_chained_blocks_and_holds_no_keyslot() -> None:
    applet = PivApplet(signing=rsa_key())
    credential = enrolled(applet)
    assert (credential.opens, credential.agreement_key) == (False, None)
    answer = approve(applet, credential)
    verify_card(answer.approval, CHALLENGE, credential)
    assert answer.approval.algorithm == "RS256"
    assert [one.cla for one in applet.log if one.ins == 0x87] == [0x10, 0x00]
    with pytest.raises(InvalidArgument):
        CardAct(credential, CHALLENGE, [handle(CURVES[0])[0]])


def test_rsa_for_agreement_is_sign_only_and_other_curves_are_no_key() -> None:
    signing = ec.generate_private_key(CURVES[0])
    assert not enrolled(PivApplet(signing=signing, agreement=rsa_key())).opens
    odd = PivApplet(signing=ec.generate_private_key(ec.SECP521R1()))
    assert credential_of(card_of(odd).identity(), "card", PublicKeys()) is None


def test_a_card_that_wants_its_pin_for_9d_gets_it_again_only_after_it_was_right() -> None:
    applet = applet_of()
    applet.fresh_pin_for_agreement = True
    credential = enrolled(applet)
    salt, key = handle(CURVES[0])
    answer = approve(applet, credential, salt)
    assert answer.secrets[0].reveal() == key.exchange(ec.ECDH(), applet.keys[0x9D].public_key())
    applet.log.clear()
    act = CardAct(credential, CHALLENGE, [salt])
    with pytest.raises(PinWrong) as raised:
        act.run(card_of(applet), padded_pin(Secret(b"000000"), None))
    assert raised.value.tries_left == 4 == applet.counter


def test_every_command_has_le_and_on_t0_only_where_there_is_room() -> None:
    applet = applet_of()
    credential = enrolled(applet)
    act = CardAct(credential, CHALLENGE, [handle(CURVES[0])[0]])
    for is_t0 in (False, True):
        wire = Wire(applet, is_t0=is_t0)
        act.run(PivCard(wire), padded_pin(Secret(PIN), None))
        for raw in wire.raw:
            has_data = len(raw) > 5
            size = 5 + raw[4] if has_data else 5
            assert len(raw) == size + (has_data and not is_t0)


def test_a_compressed_certificate_is_read_and_a_bomb_is_not() -> None:
    applet = applet_of()
    expected = enrolled(applet).id
    der = certificate(applet.keys[0x9C])
    for bits in (31, 15):
        packer = zlib.compressobj(wbits=bits)
        packed = packer.compress(der) + packer.flush()
        applet.objects[CERTIFICATE_9C] = tlv(0x70, packed) + tlv(0x71, b"\1") + tlv(0xFE)
        assert enrolled(applet).id == expected
    for bad in (zlib.compress(bytes(1 << 20)), packed[:-9], packed[:-2], b"", b"junk"):
        applet.objects[CERTIFICATE_9C] = tlv(0x70, bad) + tlv(0x71, b"\1")
        if bad:
            with pytest.raises(ProtocolBroken):
                card_of(applet).identity()


# -- PIN --


@pytest.mark.parametrize("pin", [b"", b"12345", b"123456789", b"12345\xff", b"\xff" * 8])
def test_what_no_piv_pin_can_be_is_not_sent(pin: bytes) -> None:
    with pytest.raises(PinWrong):
        padded_pin(Secret(pin), 5)


@pytest.mark.parametrize(("left", "error"), [(0, PinBlocked), (1, PinAtRisk), (2, PinAtRisk), (3, None)])
def test_tries_that_another_program_used_up_meanwhile_stop_the_visit(left: int, error: Any) -> None:
    applet = applet_of()
    credential = enrolled(applet)
    applet.counter = left
    if error is None:
        approve(applet, credential)
        return
    with pytest.raises(error):
        approve(applet, credential)
    assert applet.counter == left
    assert not [one for one in applet.log if one.ins == 0x20 and one.data]


def test_the_last_try_blocks_and_is_named_so() -> None:
    applet = applet_of()
    card = card_of(applet)
    applet.counter = 1
    with pytest.raises(PinBlocked):
        card.verify_pin(padded_pin(Secret(b"000000"), None))
    with pytest.raises(PinBlocked):
        card.verify_pin(padded_pin(Secret(PIN), None))


def test_the_discovery_object_chooses_the_global_pin() -> None:
    applet = applet_of()
    for policy, reference in ((b"\x60\x20", 0x00), (b"\x60\x10", 0x80), (b"\x40\x00", 0x80), (b"", 0x80)):
        applet.objects[DISCOVERY] = tlv(0x4F, bytes(11)) + tlv(0x5F2F, policy)
        card = card_of(applet)
        applet.log.clear()
        if reference:
            assert card.pin_tries() == 5
        else:
            with pytest.raises(Unsupported):
                card.pin_tries()
        assert applet.log[-1].p2 == reference


def test_a_pin_that_somebody_verified_hides_the_count() -> None:
    applet = applet_of()
    card = card_of(applet)
    card.pin_tries()
    card.verify_pin(padded_pin(Secret(PIN), None))
    assert look(card).tries is None


# -- which card --


def test_a_card_is_told_by_its_key_else_by_its_chuid() -> None:
    applet, other = applet_of(), applet_of()
    credential = enrolled(applet)
    identity = card_of(applet).identity()
    assert match(identity, credential) is Match.YES
    assert match(card_of(other).identity(), credential) is Match.NO
    applet.certify(CERTIFICATE_9C, other.keys[0x9C])
    assert match(card_of(applet).identity(), credential) is Match.REPLACED
    del applet.objects[CERTIFICATE_9C]
    assert match(card_of(applet).identity(), credential) is Match.YES
    del applet.objects[CHUID]
    assert match(card_of(applet).identity(), credential) is Match.NO


def test_a_key_that_was_replaced_under_its_certificate_is_a_wrong_key() -> None:
    applet = applet_of()
    credential = enrolled(applet)
    applet.keys[0x9C] = ec.generate_private_key(CURVES[0])
    with pytest.raises(WrongKey):
        approve(applet, credential)
    del applet.keys[0x9C]
    with pytest.raises(Unsupported):
        approve(applet, credential)


# -- generating keys --

MANAGEMENT = [(0x08, 16), (0x0A, 24), (0x03, 24), (0x0C, 32)]


@pytest.mark.parametrize("mutual", [True, False], ids=["mutual", "single"])
@pytest.mark.parametrize(("cipher", "size"), MANAGEMENT, ids=["AES-128", "AES-192", "3DES", "AES-256"])
def test_keys_are_generated_with_the_management_key_and_need_no_certificate(
    cipher: int, size: int, mutual: bool
) -> None:
    applet = PivApplet()
    applet.management, applet.mutual = (cipher, bytes(range(size))), mutual
    del applet.objects[CHUID]
    chuid, made = generate(card_of(applet), Secret(bytes(range(size))), "P-384")
    assert card_of(applet).identity().chuid == chuid
    credential = enrolled(applet, made)
    salt, key = handle(CURVES[1])
    answer = approve(applet, credential, salt)
    verify_card(answer.approval, CHALLENGE, credential)
    assert answer.secrets[0].reveal() == key.exchange(ec.ECDH(), applet.keys[0x9D].public_key())


@pytest.mark.parametrize("mutual", [True, False], ids=["mutual", "single"])
@pytest.mark.parametrize(
    "key", [bytes(24), bytes(32), bytes(8)], ids=["wrong", "of another size", "of no size"]
)
def test_a_wrong_management_key_changes_nothing(key: bytes, mutual: bool) -> None:
    applet = applet_of()
    applet.mutual = mutual
    before = dict(applet.keys), dict(applet.objects)
    with pytest.raises(ManagementKeyWrong):
        generate(card_of(applet), Secret(key), "P-256")
    assert (applet.keys, applet.objects) == before


def test_a_card_that_does_not_know_its_management_key_makes_nothing() -> None:
    applet = PivApplet()
    forged = tlv(0x7C, tlv(0x82, bytes(16))) + b"\x90\x00"
    applet.intercept = lambda apdu: forged if apdu.ins == 0x87 and len(apdu.data) > 10 else None
    with pytest.raises(ProtocolBroken, match="management key"):
        generate(card_of(applet), Secret(applet.management[1]), "P-256")
    assert applet.keys == {}


def test_new_keys_take_the_place_of_old_ones_and_of_their_certificates() -> None:
    applet = PivApplet(signing=rsa_key(), agreement=ec.generate_private_key(CURVES[0]))
    old = dict(applet.keys)
    _, made = generate(card_of(applet), Secret(applet.management[1]), "P-256")
    assert applet.keys[0x9C] is not old[0x9C]
    assert applet.keys[0x9D] is not old[0x9D]
    identity = card_of(applet).identity()
    assert (identity.signing_key, identity.agreement_key) == (None, None)
    credential = enrolled(applet, made)
    verify_card(approve(applet, credential).approval, CHALLENGE, credential)


def test_a_card_that_makes_no_such_key_keeps_the_old_one_and_its_certificate() -> None:
    applet = applet_of()
    before = dict(applet.keys), dict(applet.objects)
    applet.intercept = lambda apdu: b"\x6a\x80" if apdu.ins == 0x47 else None
    with pytest.raises(ProtocolBroken):
        generate(card_of(applet), Secret(applet.management[1]), "P-384")
    assert (applet.keys, applet.objects) == before


# -- hostile answers --

ECHO = tlv(0x7C, tlv(0x82, bytes(32))) + b"\x90\x00"


def on(ins: int, answer: bytes, p2: int | None = None) -> Any:
    """An interceptor that gives ``answer`` to one instruction."""

    def intercept(apdu: Apdu) -> bytes | None:
        return answer if apdu.ins == ins and p2 in {None, apdu.p2} else None

    return intercept


NESTED = b"\x7c\x80" * 60
HOSTILE = {
    "select refused": (on(0xA4, b"\x6a\x82"), TokenMissing),
    "select empty": (on(0xA4, b"\x90\x00"), ProtocolBroken),
    "select other": (on(0xA4, b"\x6f\x00\x90\x00"), ProtocolBroken),
    "certificate truncated": (on(0xCB, b"\x53\x82\x10\x00ab\x90\x00"), ProtocolBroken),
    "certificate indefinite": (on(0xCB, b"\x53\x80ab\x90\x00"), ProtocolBroken),
    "certificate nested": (on(0xCB, NESTED + b"\x90\x00"), ProtocolBroken),
    "certificate length of eight bytes": (on(0xCB, b"\x53\x88" + b"\xff" * 8 + b"\x90\x00"), ProtocolBroken),
    "tag without end": (on(0xCB, b"\x5f\xff\xff\xff\xff\x90\x00"), ProtocolBroken),
    "data behind the object": (on(0xCB, b"\x53\x00\x00\x90\x00"), ProtocolBroken),
    "61xx for ever": (
        lambda apdu: bytes(16) + b"\x61\x10" if apdu.ins in {0xCB, 0xC0} else None,
        ProtocolBroken,
    ),
    "61xx for ever, empty": (lambda apdu: b"\x61\x00" if apdu.ins in {0xCB, 0xC0} else None, ProtocolBroken),
    "wrong Le for ever": (on(0x20, b"\x6c\x01"), Unsupported),
    "odd error": (on(0x87, b"\x6f\x42"), ProtocolBroken),
    "tries unknown": (on(0x20, b"\x6d\x00"), Unsupported),
    "signature empty": (on(0x87, b"\x90\x00"), ProtocolBroken),
    "signature no template": (on(0x87, b"\x82\x01a\x90\x00"), ProtocolBroken),
    "signature twice": (on(0x87, tlv(0x7C, tlv(0x82, b"a") * 2) + b"\x90\x00"), ProtocolBroken),
    "signature no DER": (on(0x87, ECHO), ProtocolBroken),
    "signature refused": (on(0x87, b"\x69\x82"), ProtocolBroken),
    "signature of zeros": (
        on(0x87, tlv(0x7C, tlv(0x82, bytes.fromhex("3006020100020100"))) + b"\x90\x00", 0x9C),
        WrongKey,
    ),
    "signature out of range": (
        on(
            0x87, tlv(0x7C, tlv(0x82, b"\x30\x26\x02\x21\x7f" + b"\xff" * 32 + b"\x02\x01\x01")) + b"\x90\x00"
        ),
        ProtocolBroken,
    ),
    "secret short": (on(0x87, tlv(0x7C, tlv(0x82, bytes(31))) + b"\x90\x00", 0x9D), ProtocolBroken),
    "secret long": (on(0x87, tlv(0x7C, tlv(0x82, bytes(48))) + b"\x90\x00", 0x9D), ProtocolBroken),
    "secret refused": (on(0x87, b"\x69\x82", 0x9D), ProtocolBroken),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_answers_have_a_name_and_yield_nothing(case: str) -> None:
    applet = applet_of()
    credential = enrolled(applet)
    applet.intercept, error = HOSTILE[case]
    applet.log.clear()
    with pytest.raises(OwnerdError) as raised:
        approve(applet, credential, handle(CURVES[0])[0])
    assert type(raised.value) is error
    assert len(applet.log) < 200
