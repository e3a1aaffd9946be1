"""makeCredential, getAssertion and getInfo, driven by python-fido2's own client classes."""

from __future__ import annotations

import struct
from threading import Event

import pytest
from fido2 import cbor
from fido2.attestation import PackedAttestation
from fido2.ctap import STATUS, CtapError
from fido2.ctap2 import Ctap2
from tests.rigs.softtoken import InProcessDevice, Person, make_authenticator

from ownerd.softtoken.state import TokenState
from ownerd.softtoken.touch import Act, Answer

ERR = CtapError.ERR
RP = "ownerd:owner"
ENTITY = {"id": RP, "name": RP}
USER = {"id": b"owner", "name": "owner"}
ES256 = [{"type": "public-key", "alg": -7}]
HASH = b"h" * 32


@pytest.fixture
def ctap(in_process_device) -> Ctap2:
    return Ctap2(in_process_device)


def _make(ctap, user=USER, rp=ENTITY, **options):
    return ctap.make_credential(HASH, rp, user, ES256, **options)


def _allow(made):
    return [{"type": "public-key", "id": made.auth_data.credential_data.credential_id}]


def _code(caught):
    return caught.value.code


def test_info_says_what_it_is(ctap) -> None:
    info = ctap.info
    assert info.versions == ["FIDO_2_0", "FIDO_2_1"]
    assert set(info.extensions) == {"hmac-secret", "credProtect", "largeBlobKey"}
    assert info.options["clientPin"] is False
    assert info.pin_uv_protocols == [2]
    assert bytes(info.aaguid) != bytes(16)


def test_the_attestation_verifies_and_carries_our_aaguid(ctap) -> None:
    made = _make(ctap)
    PackedAttestation().verify(made.att_stmt, made.auth_data, HASH)
    assert made.auth_data.credential_data.aaguid == ctap.info.aaguid


def test_an_assertion_verifies_and_the_counter_grows(ctap) -> None:
    made = _make(ctap)
    first, second = (ctap.get_assertion(RP, HASH, _allow(made)) for _ in range(2))
    first.verify(HASH, made.auth_data.credential_data.public_key)
    assert made.auth_data.counter < first.auth_data.counter < second.auth_data.counter
    assert first.auth_data.is_user_present()
    assert not first.auth_data.is_user_verified()


def test_the_counter_is_durable_before_the_signature_leaves() -> None:
    saved = []
    state = TokenState()
    token = make_authenticator(state=state, saved=saved)
    ctap = Ctap2(InProcessDevice(token))
    made = _make(ctap)
    del saved[:]
    answer = ctap.get_assertion(RP, HASH, _allow(made))
    assert saved == [state]
    assert state.counter == answer.auth_data.counter


def test_a_preflight_without_touch_says_whether_the_credential_is_here(ctap, person) -> None:
    made = _make(ctap)
    del person.asked[:]
    answer = ctap.get_assertion(RP, HASH, _allow(made), options={"up": False})
    assert not answer.auth_data.is_user_present()
    with pytest.raises(CtapError) as caught:
        ctap.get_assertion(RP, HASH, [{"type": "public-key", "id": b"x" * 32}], options={"up": False})
    assert _code(caught) == ERR.NO_CREDENTIALS
    assert person.asked == []


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer.REFUSED, ERR.OPERATION_DENIED),
        (Answer.TIMED_OUT, ERR.USER_ACTION_TIMEOUT),
        (Answer.CANCELLED, ERR.KEEPALIVE_CANCEL),
    ],
)
def test_without_a_touch_nothing_is_signed_or_made(ctap, person, authenticator, answer, code) -> None:
    made = _make(ctap)
    before = authenticator.core.state.counter
    person.answer = answer
    for attempt in (lambda: ctap.get_assertion(RP, HASH, _allow(made)), lambda: _make(ctap)):
        with pytest.raises(CtapError) as caught:
            attempt()
        assert _code(caught) == code
    assert authenticator.core.state.counter == before
    assert len(authenticator.core.state.credentials) == 1


def test_a_cancel_that_comes_with_the_touch_wins(ctap) -> None:
    made = _make(ctap)
    cancel = Event()
    cancel.set()
    with pytest.raises(CtapError) as caught:
        ctap.get_assertion(RP, HASH, _allow(made), event=cancel)
    assert _code(caught) == ERR.KEEPALIVE_CANCEL


def test_it_says_that_it_waits_for_a_touch(ctap) -> None:
    states = []
    ctap.selection(on_keepalive=states.append)
    assert states == [STATUS.UPNEEDED, STATUS.PROCESSING]


def test_another_rp_does_not_reach_the_credential(ctap) -> None:
    made = _make(ctap)
    with pytest.raises(CtapError) as caught:
        ctap.get_assertion("ownerd:other", HASH, _allow(made))
    assert _code(caught) == ERR.NO_CREDENTIALS


def test_an_excluded_credential_is_not_made_twice_and_only_a_touch_tells(ctap, person) -> None:
    made = _make(ctap)
    del person.asked[:]
    with pytest.raises(CtapError) as caught:
        _make(ctap, exclude_list=_allow(made))
    assert _code(caught) == ERR.CREDENTIAL_EXCLUDED
    assert [ask.act for ask in person.asked] == [Act.MAKE_CREDENTIAL]


def test_discoverable_credentials_answer_one_after_another_newest_first(ctap, person) -> None:
    keys = {}
    for name in ("a", "b", "c"):
        made = _make(ctap, {"id": name.encode(), "name": name}, options={"rk": True})
        keys[name.encode()] = made.auth_data.credential_data.public_key
    _make(ctap)  # not discoverable: never answers without an allow list
    del person.asked[:]
    answers = ctap.get_assertions(RP, HASH)
    assert [answer.user["id"] for answer in answers] == [b"c", b"b", b"a"]
    for answer in answers:
        answer.verify(HASH, keys[answer.user["id"]])
        assert "name" not in answer.user
    assert len(person.asked) == 1
    with pytest.raises(CtapError) as caught:
        ctap.get_next_assertion()
    assert _code(caught) == ERR.NOT_ALLOWED


def test_another_command_ends_the_row_of_assertions(ctap) -> None:
    for name in (b"a", b"b"):
        _make(ctap, {"id": name, "name": "x"}, options={"rk": True})
    assert ctap.get_assertion(RP, HASH).number_of_credentials == 2
    ctap.get_info()
    with pytest.raises(CtapError) as caught:
        ctap.get_next_assertion()
    assert _code(caught) == ERR.NOT_ALLOWED


def test_a_discoverable_credential_replaces_the_one_of_the_same_account(ctap, authenticator) -> None:
    first = _make(ctap, options={"rk": True})
    _make(ctap, options={"rk": True})
    assert len(authenticator.core.state.credentials) == 1
    with pytest.raises(CtapError):
        ctap.get_assertion(RP, HASH, _allow(first))


def test_protected_credentials_hide_without_user_verification(ctap) -> None:
    listed = _make(ctap, {"id": b"2", "name": "x"}, options={"rk": True}, extensions={"credProtect": 2})
    hidden = _make(ctap, {"id": b"3", "name": "x"}, options={"rk": True}, extensions={"credProtect": 3})
    assert listed.auth_data.extensions == {"credProtect": 2}
    ctap.get_assertion(RP, HASH, _allow(listed))
    for allow in (_allow(hidden), None):
        with pytest.raises(CtapError) as caught:
            ctap.get_assertion(RP, HASH, allow)
        assert _code(caught) == ERR.NO_CREDENTIALS


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"key_params": [{"type": "public-key", "alg": -257}]}, ERR.UNSUPPORTED_ALGORITHM),
        ({"key_params": []}, ERR.UNSUPPORTED_ALGORITHM),
        ({"options": {"uv": True}}, ERR.INVALID_OPTION),
        ({"options": {"up": False}}, ERR.INVALID_OPTION),
        ({"options": {"rk": 1}}, ERR.CBOR_UNEXPECTED_TYPE),
        ({"extensions": {"credProtect": 4}}, ERR.INVALID_OPTION),
        ({"extensions": {"largeBlobKey": True}}, ERR.INVALID_OPTION),
        ({"client_data_hash": b"short"}, ERR.INVALID_LENGTH),
        ({"user": {"name": "x"}}, ERR.MISSING_PARAMETER),
        ({"rp": {"id": b"bytes"}}, ERR.CBOR_UNEXPECTED_TYPE),
        ({"enterprise_attestation": 1}, ERR.INVALID_PARAMETER),
        ({"exclude_list": [{"type": "public-key", "id": b"x"}] * 33}, ERR.LIMIT_EXCEEDED),
    ],
)
def test_bad_parameters_of_make_credential_are_refused_before_a_touch(ctap, person, change, code) -> None:
    given = {"client_data_hash": HASH, "rp": ENTITY, "user": USER, "key_params": ES256, **change}
    with pytest.raises(CtapError) as caught:
        ctap.make_credential(**given)
    assert _code(caught) == code
    assert person.asked == []


@pytest.mark.parametrize(
    ("request_bytes", "code"),
    [
        (b"", ERR.INVALID_LENGTH),
        (b"\x55", ERR.INVALID_COMMAND),
        (b"\x02", ERR.MISSING_PARAMETER),
        (b"\x02\xa1\x01", ERR.INVALID_CBOR),
        (b"\x02\xa0\x00", ERR.INVALID_CBOR),  # trailing byte
        (b"\x02\xa1\x18\x01\xf5", ERR.INVALID_CBOR),  # long form of 1
        (b"\x02\xa2\x01\x00\x01\x00", ERR.INVALID_CBOR),  # the same key twice
        (b"\x02\xa1\x01\x42\x00", ERR.INVALID_CBOR),  # two bytes promised, one there
        (b"\x04\xa1\xf5\x00", ERR.CBOR_UNEXPECTED_TYPE),  # true is no 1
        (b"\x02\x80", ERR.CBOR_UNEXPECTED_TYPE),
        (b"\x02" + b"\x81" * 2000 + b"\x00", ERR.INVALID_CBOR),
        (b"\x02" + b"\x9b" + struct.pack(">Q", 2**63), ERR.INVALID_CBOR),
        (b"\x02" + bytes(2048), ERR.REQUEST_TOO_LARGE),
    ],
)
def test_malformed_commands_get_a_status_and_nothing_else(authenticator, request_bytes, code) -> None:
    assert authenticator.call(request_bytes) == bytes([code])


def test_every_truncation_and_every_flipped_byte_of_a_request_is_answered(authenticator, person) -> None:
    person.answer = Answer.REFUSED
    good = b"\x01" + cbor.encode({1: HASH, 2: ENTITY, 3: USER, 4: ES256, 6: {"credProtect": 2}})
    assert authenticator.call(good) == bytes([ERR.OPERATION_DENIED])
    for at in range(1, len(good)):
        assert authenticator.call(good[:at])[0] in set(ERR)
        for bit in (0x01, 0x20, 0x80):
            spoilt = good[:at] + bytes([good[at] ^ bit]) + good[at + 1 :]
            assert authenticator.call(spoilt)[0] in set(ERR)


def test_reset_wants_a_touch_in_the_first_ten_seconds_and_erases_all() -> None:
    now = [0.0]
    person = Person()
    state = TokenState()
    token = make_authenticator(person, state=state, monotonic=lambda: now[0])
    ctap = Ctap2(InProcessDevice(token))
    made = _make(ctap)
    now[0] = 10.5
    with pytest.raises(CtapError) as caught:
        ctap.reset()
    assert _code(caught) == ERR.NOT_ALLOWED
    now[0] = 9.0
    ctap.reset()
    assert person.asked[-1].act is Act.RESET
    assert state == TokenState()
    with pytest.raises(CtapError):
        ctap.get_assertion(RP, HASH, _allow(made))


def test_the_store_has_a_bound(ctap, monkeypatch) -> None:
    monkeypatch.setattr("ownerd.softtoken.make_credential.MAX_CREDENTIALS", 2)
    for _ in range(2):
        _make(ctap)
    with pytest.raises(CtapError) as caught:
        _make(ctap)
    assert _code(caught) == ERR.KEY_STORE_FULL
