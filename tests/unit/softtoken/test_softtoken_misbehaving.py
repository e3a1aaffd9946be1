"""The lying authenticator lies as it says: a rig that told the truth would prove nothing."""

from __future__ import annotations

from threading import Event, Thread

import pytest
from cryptography.exceptions import InvalidSignature
from fido2 import cbor
from fido2.ctap2 import Ctap2
from tests.misbehaving.softtoken import Misbehaving, Misdeed
from tests.rigs.softtoken import InProcessDevice, make_authenticator

RP = "ownerd:owner"
HASH = b"h" * 32
ES256 = [{"type": "public-key", "alg": -7}]


def _enrolled():
    token = make_authenticator(authenticator_type=Misbehaving)
    ctap = Ctap2(InProcessDevice(token))
    made = ctap.make_credential(HASH, {"id": RP, "name": RP}, {"id": b"u", "name": "u"}, ES256)
    return token, ctap, made.auth_data.credential_data


def _assert(ctap, credential):
    return ctap.get_assertion(RP, HASH, [{"type": "public-key", "id": credential.credential_id}])


def test_without_a_misdeed_it_is_honest() -> None:
    _token, ctap, credential = _enrolled()
    answer = _assert(ctap, credential)
    answer.verify(HASH, credential.public_key)
    assert answer.auth_data.is_user_present()


@pytest.mark.parametrize(
    ("misdeed", "shows"),
    [
        (Misdeed.UP_CLEAR, lambda answer: not answer.auth_data.is_user_present()),
        (Misdeed.UV_SET, lambda answer: answer.auth_data.is_user_verified()),
        (Misdeed.WRONG_RP, lambda answer: answer.auth_data.rp_id_hash == bytes(32)),
        (Misdeed.COUNTER_BACK, lambda answer: answer.auth_data.counter == 0),
        (Misdeed.OTHER_CREDENTIAL, lambda answer: answer.credential["id"] == b"\7" * 32),
    ],
)
def test_a_lie_in_the_data_is_signed_by_the_real_key(misdeed, shows) -> None:
    token, ctap, credential = _enrolled()
    token.misdeeds.add(misdeed)
    answer = _assert(ctap, credential)
    answer.verify(HASH, credential.public_key)
    assert shows(answer)


def test_a_wrong_signature_does_not_verify() -> None:
    token, ctap, credential = _enrolled()
    token.misdeeds.add(Misdeed.WRONG_SIGNATURE)
    with pytest.raises(InvalidSignature):
        _assert(ctap, credential).verify(HASH, credential.public_key)


def test_truncated_and_nested_answers_do_not_decode() -> None:
    token, ctap, credential = _enrolled()
    for misdeed in (Misdeed.TRUNCATED, Misdeed.NESTED_CBOR):
        token.misdeeds = {misdeed}
        with pytest.raises((ValueError, IndexError, KeyError, TypeError, RecursionError)):
            _assert(ctap, credential)


def test_it_answers_after_a_cancel() -> None:
    token, _ctap, credential = _enrolled()
    token.misdeeds.add(Misdeed.ANSWERS_AFTER_CANCEL)
    request = b"\2" + cbor.encode(
        {1: RP, 2: HASH, 3: [{"type": "public-key", "id": credential.credential_id}]}
    )
    cancel, answers = Event(), []
    thread = Thread(target=lambda: answers.append(token.call(request, cancel)))
    thread.start()
    cancel.set()
    thread.join(10)
    assert answers[0][0] == 0
