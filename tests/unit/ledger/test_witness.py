"""What a witness checks before it cosigns: C2SP tlog-witness requests, growth, forks and older checkpoints."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ownerd.ledger.merkle import Frontier, consistency_proof
from ownerd.ledger.note import (
    format_checkpoint,
    format_verifier_key,
    parse_checkpoint,
    parse_note,
    parse_verifier_key,
    sign_note,
)
from ownerd.ledger.witness import (
    MAX_PROOF_LINES,
    WitnessRequest,
    format_request,
    parse_request,
    read_request,
    verify_growth,
)
from ownerd.model.errors import BadSignature, Forked, LedgerError, Malformed, NotFound, RolledBack

ORIGIN = "ownerd/" + "a" * 32
LOG = Ed25519PrivateKey.from_private_bytes(b"l" * 32)
KEY = parse_verifier_key(format_verifier_key(ORIGIN, LOG.public_key()))


def leaves(count: int, salt: bytes = b"") -> list[bytes]:
    return [hashlib.sha256(salt + bytes([number])).digest() for number in range(count)]


def note(hashes: list[bytes], origin: str = ORIGIN) -> bytes:
    root = Frontier.from_leaf_hashes(hashes).root()
    return sign_note(format_checkpoint(origin, len(hashes), root), origin, LOG)


def seen(hashes: list[bytes]):
    return parse_checkpoint(parse_note(note(hashes)).text)


def request(old: int, hashes: list[bytes]) -> WitnessRequest:
    return WitnessRequest(old, tuple(consistency_proof(hashes, old)), note(hashes))


@given(st.data())
def test_a_log_that_only_grew_is_cosigned_at_every_size(data):
    size = data.draw(st.integers(0, 40))
    old = data.draw(st.integers(0, size))
    made = parse_request(format_request(request(old, leaves(size))))
    assert verify_growth(made, KEY, seen(leaves(old))).size == size


@given(st.data())
def test_another_history_is_a_fork_whatever_its_proof(data):
    size = data.draw(st.integers(2, 30))
    old = data.draw(st.integers(1, size))
    made = request(old, leaves(size, b"other"))
    with pytest.raises((Forked, Malformed)):
        verify_growth(made, KEY, seen(leaves(old)))


def test_an_older_one_is_refused_and_sizes_are_named():
    with pytest.raises(RolledBack, match=r"5 entries.* 9 "):
        verify_growth(request(5, leaves(5)), KEY, seen(leaves(9)))


def test_a_proof_from_elsewhere_names_the_size_that_is_needed():
    with pytest.raises(NotFound, match="from 4 entries"):
        verify_growth(request(3, leaves(9)), KEY, seen(leaves(4)))
    with pytest.raises(NotFound, match="from 4 entries"):
        verify_growth(read_request(note(leaves(9))), KEY, seen(leaves(4)))


def test_the_first_and_the_same_checkpoint_need_no_proof():
    bare = read_request(note(leaves(4)))
    assert verify_growth(bare, KEY, None).size == 4
    assert verify_growth(bare, KEY, seen(leaves(4))).size == 4


def test_another_key_and_another_log_are_refused():
    other = Ed25519PrivateKey.from_private_bytes(b"m" * 32)
    stranger = parse_verifier_key(format_verifier_key(ORIGIN, other.public_key()))
    for key in (stranger, parse_verifier_key(format_verifier_key("ownerd/else", LOG.public_key()))):
        with pytest.raises(BadSignature):
            verify_growth(request(0, leaves(4)), key, None)


def test_a_proof_that_is_cut_swapped_or_too_long_is_refused():
    made = request(5, leaves(11))
    for proof in (made.proof[:-1], made.proof[::-1], (*made.proof, bytes(32)), ()):
        with pytest.raises(LedgerError):
            verify_growth(WitnessRequest(5, proof, made.note), KEY, seen(leaves(5)))
    with pytest.raises(Malformed):
        format_request(WitnessRequest(5, (bytes(32),) * (MAX_PROOF_LINES + 1), made.note))


def test_the_file_is_the_one_of_the_specification():
    made = request(5, leaves(7))
    lines = format_request(made).decode().split("\n")
    assert lines[0] == "old 5"
    assert lines[1 + len(made.proof)] == ""
    assert "\n".join(lines[2 + len(made.proof) :]).encode() == made.note
    assert parse_request(format_request(made)) == made


@pytest.mark.parametrize("edit", [
    lambda data: data.replace(b"old 5", b"old 05"),
    lambda data: data.replace(b"old 5", b"new 5"),
    lambda data: data.replace(b"old 5\n", b"old 5\n\n", 1),
    lambda data: data.replace(b"old 5\n", b"old 5\r\n", 1),
    lambda data: data.replace(b"=\n", b"\n", 1),
    lambda data: data[:60],
    lambda data: b"old 5\n",
    lambda data: b"old 5\n" + b"\xff" + data[6:],
    lambda data: data + b"\n",
])  # fmt: skip
def test_what_the_format_would_not_write_is_refused(edit):
    with pytest.raises(Malformed):
        parse_request(edit(format_request(request(5, leaves(7)))))
