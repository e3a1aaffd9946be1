"""Cosignatures after C2SP tlog-cosignature, against the bytes of the specification put together by hand."""

from __future__ import annotations

import base64
import hashlib
import struct

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ownerd.ledger.cosignature import (
    MAX_TIME,
    cosign,
    format_witness_key,
    parse_witness_key,
    verify_cosignature,
    witness_key,
)
from ownerd.ledger.note import format_checkpoint, open_note, parse_verifier_key, sign_note
from ownerd.ledger.note import format_verifier_key as format_log_key
from ownerd.model.errors import BadSignature, Malformed

NAME, ORIGIN, TIME = "witness.example/phone", "ownerd/" + "0" * 32, 1_795_442_400
KEY, LOG = (Ed25519PrivateKey.from_private_bytes(bytes([one]) * 32) for one in (7, 8))
TEXT = format_checkpoint(ORIGIN, 5, bytes(range(32)))
NOTE = sign_note(TEXT, ORIGIN, LOG)
OURS = witness_key(NAME, KEY.public_key())


def by_hand(text: bytes = TEXT, time: int = TIME, message_time: int | None = None) -> bytes:
    """The signature line as the specification has it, without our code."""
    public = KEY.public_key().public_bytes_raw()
    key_id = hashlib.sha256(NAME.encode() + b"\n\x04" + public).digest()[:4]
    message = f"cosignature/v1\ntime {message_time or time}\n".encode() + text
    blob = key_id + struct.pack(">Q", time) + KEY.sign(message)
    return "\u2014 ".encode() + NAME.encode() + b" " + base64.b64encode(blob) + b"\n"


def test_a_cosigned_note_is_the_bytes_of_the_specification():
    signed = cosign(NOTE, NAME, KEY, TIME)
    assert signed == NOTE + by_hand()
    assert verify_cosignature(signed, OURS) == TIME


def test_the_logs_own_signature_stays_and_opens_it():
    signed = cosign(NOTE, NAME, KEY, TIME)
    log_key = parse_verifier_key(format_log_key(ORIGIN, LOG.public_key()))
    assert open_note(signed, log_key) == TEXT


def test_a_later_cosignature_takes_the_place_of_an_earlier_one():
    again = cosign(cosign(NOTE, NAME, KEY, TIME), NAME, KEY, TIME + 1)
    assert again == cosign(NOTE, NAME, KEY, TIME + 1)


def test_the_verifier_key_has_type_4_and_is_read_back():
    public = KEY.public_key().public_bytes_raw()
    key_id = hashlib.sha256(NAME.encode() + b"\n\x04" + public).hexdigest()[:8]
    text = format_witness_key(OURS)
    encoded = base64.b64encode(b"\x04" + public).decode()
    assert text == f"{NAME}+{key_id}+{encoded}"
    assert parse_witness_key(text) == OURS


@pytest.mark.parametrize("edit", [
    lambda text: format_log_key(NAME, KEY.public_key()),
    lambda text: text[:-1],
    lambda text: text.replace("+", "-", 1),
    lambda text: text.replace(text.split("+")[1], "00000000"),
    lambda text: text.replace(NAME, "two words"),
    lambda text: text.upper(),
    lambda text: "",
])  # fmt: skip
def test_what_is_no_witness_key_is_refused(edit):
    with pytest.raises(Malformed):
        parse_witness_key(edit(format_witness_key(OURS)))


@pytest.mark.parametrize("line", [
    by_hand(time=TIME, message_time=TIME + 1),
    by_hand(text=TEXT + b"more\n"),
])  # fmt: skip
def test_a_cosignature_over_another_time_or_text_does_not_hold(line):
    with pytest.raises(BadSignature):
        verify_cosignature(NOTE + line, OURS)


def test_no_cosignature_two_of_them_and_a_short_one_are_refused():
    with pytest.raises(BadSignature):
        verify_cosignature(NOTE, OURS)
    with pytest.raises(BadSignature):
        verify_cosignature(NOTE + by_hand() + by_hand(time=TIME + 1), OURS)
    short = "\u2014 ".encode() + NAME.encode() + b" " + base64.b64encode(OURS.key_id + bytes(64)) + b"\n"
    with pytest.raises(Malformed):
        verify_cosignature(NOTE + short, OURS)


def test_only_checkpoints_are_cosigned_and_times_are_bounded():
    with pytest.raises(Malformed):
        cosign(sign_note(b"any text\n", ORIGIN, LOG), NAME, KEY, TIME)
    for time in (-1, MAX_TIME + 1):
        with pytest.raises(Malformed):
            cosign(NOTE, NAME, KEY, time)


def test_every_changed_byte_is_noticed():
    signed = cosign(NOTE, NAME, KEY, TIME)
    line = signed.index(NAME.encode())
    for place in [*range(len(TEXT)), *range(line, len(signed))]:
        changed = bytearray(signed)
        changed[place] ^= 1
        with pytest.raises((BadSignature, Malformed)):
            verify_cosignature(bytes(changed), OURS)
