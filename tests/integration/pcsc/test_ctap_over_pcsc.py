"""Real pcscd, pyscard and python-fido2's PC/SC transport carry the software token."""

from __future__ import annotations

from threading import Event, Timer

import pytest
from fido2.ctap import STATUS, CtapError
from fido2.ctap2 import ClientPin, Ctap2
from tests.rigs.softtoken import Person

pytestmark = pytest.mark.in_pcsc_rig

RP = "ownerd:owner"
ENTITY = {"id": RP, "name": RP}
USER = {"id": b"owner", "name": "owner"}
ES256 = [{"type": "public-key", "alg": -7}]
HASH = b"h" * 32
ALL_EXTENSIONS = {"hmac-secret": True, "credProtect": 2, "largeBlobKey": True}


def _enrol(ctap, **options):
    made = ctap.make_credential(HASH, ENTITY, USER, ES256, options={"rk": True}, **options)
    return made.auth_data.credential_data


def _allow(credential):
    return [{"type": "public-key", "id": credential.credential_id}]


def test_a_credential_is_made_and_asserted(nfc_token) -> None:
    with nfc_token.open() as device:
        ctap = Ctap2(device)
        credential = _enrol(ctap, extensions=ALL_EXTENSIONS)
        answer = ctap.get_assertion(RP, HASH, _allow(credential))
    answer.verify(HASH, credential.public_key)
    assert len(nfc_token.person.asked) == 2


def test_a_long_request_is_chained_or_sent_at_extended_length(nfc_token) -> None:
    with nfc_token.open() as device:
        ctap = Ctap2(device)
        credential = _enrol(ctap)
        allow = [{"type": "public-key", "id": bytes([n]) * 32} for n in range(20)] + _allow(credential)
        for extended in (False, True):
            device.use_ext_apdu = extended
            ctap.get_assertion(RP, HASH, allow).verify(HASH, credential.public_key)
    lengths = [len(apdu) for apdu in nfc_token.applet.apdus]
    assert any(apdu[0] == 0x90 for apdu in nfc_token.applet.apdus)
    assert max(lengths) > 1000


def test_keepalive_says_that_a_touch_is_wanted_and_cancel_ends_it(nfc_tokens) -> None:
    person = Person()
    token = nfc_tokens(person)
    token.insert()
    with token.open() as device:
        ctap = Ctap2(device)
        credential = _enrol(ctap)
        person.answer = None
        states, cancel = [], Event()
        Timer(0.3, cancel.set).start()
        with pytest.raises(CtapError) as caught:
            ctap.get_assertion(RP, HASH, _allow(credential), event=cancel, on_keepalive=states.append)
        assert caught.value.code == CtapError.ERR.KEEPALIVE_CANCEL
        assert STATUS.UPNEEDED in states
        person.answer = type(person)().answer
        ctap.get_assertion(RP, HASH, _allow(credential)).verify(HASH, credential.public_key)


def test_the_pin_block_ends_with_a_power_cycle_and_the_tries_do_not_come_back(nfc_token) -> None:
    with nfc_token.open() as device:
        pin = ClientPin(Ctap2(device))
        pin.set_pin("1234")
        codes = []
        for _ in range(3):
            with pytest.raises(CtapError) as caught:
                pin.get_pin_token("9999")
            codes.append(caught.value.code)
    assert codes == [CtapError.ERR.PIN_INVALID, CtapError.ERR.PIN_INVALID, CtapError.ERR.PIN_AUTH_BLOCKED]
    nfc_token.remove()
    nfc_token.insert()
    with nfc_token.open() as device:
        pin = ClientPin(Ctap2(device))
        assert pin.get_pin_retries() == (5, False)
        assert len(pin.get_pin_token("1234")) == 32


def test_removing_the_card_while_it_waits_for_a_touch_is_an_error_at_once(nfc_tokens) -> None:
    from smartcard.Exceptions import SmartcardException

    person = Person(answer=None)
    token = nfc_tokens(person)
    token.insert()
    with token.open() as device:
        Timer(0.3, token.card.remove).start()
        with pytest.raises(SmartcardException):
            Ctap2(device).selection()
    token.card = None
