"""Verdicts on heads kept elsewhere: each of them, with sizes, and what no head may claim."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ownerd.ledger.anchor import Judged, Ours, Verdict, claimed_sizes, is_signed_by_unknown, judge
from ownerd.ledger.cosignature import cosign
from ownerd.ledger.log_keys import LogKeys
from ownerd.ledger.merkle import Frontier, roots_at
from ownerd.ledger.note import format_checkpoint, format_verifier_key, sign_note
from ownerd.model.encoding import format_b64u
from ownerd.model.errors import BadHead, Forked, RolledBack

LOG_ID = "b" * 32
ORIGIN = f"ownerd/{LOG_ID}"
FIRST, SECOND, STRANGER = (Ed25519PrivateKey.from_private_bytes(bytes([one]) * 32) for one in (1, 2, 3))
LEAVES = [hashlib.sha256(bytes([number])).digest() for number in range(20)]
ROTATED = 12


def facts(key: Ed25519PrivateKey) -> dict[str, str]:
    return {
        "verifier_key": format_verifier_key(ORIGIN, key.public_key()),
        "opening_key": format_b64u(key.public_key().public_bytes_raw()),
    }


def head(size: int, key: Ed25519PrivateKey, *, leaves: list[bytes] = LEAVES, origin: str = ORIGIN) -> bytes:
    root = Frontier.from_leaf_hashes((leaves * 2)[:size]).root()
    return sign_note(format_checkpoint(origin, size, root), origin, key)


def judged(note: bytes, *, rotated: bool = True) -> Judged:
    keys = LogKeys(None)
    keys.begin(facts(FIRST))
    if rotated:
        keys.rotate(ROTATED, facts(SECOND), LOG_ID)
    roots = roots_at(LEAVES, claimed_sizes([note]))
    return judge(note, Ours(ORIGIN, len(LEAVES), 18, roots, keys))


@pytest.mark.parametrize(("size", "verdict"), [
    (18, Verdict.CONSISTENT), (20, Verdict.CONSISTENT), (17, Verdict.OLDER), (13, Verdict.OLDER),
])  # fmt: skip
def test_a_head_of_this_history_agrees(size: int, verdict: Verdict):
    found = judged(head(size, SECOND))
    assert (found.verdict, found.size, found.ours) == (verdict, size, 20)
    found.require_agrees("it")


def test_a_head_by_the_first_key_agrees_up_to_the_rotation_and_not_beyond():
    assert judged(head(ROTATED, FIRST)).verdict is Verdict.OLDER
    assert judged(head(ROTATED + 1, FIRST)).verdict is Verdict.FORKED
    assert judged(head(ROTATED, SECOND)).verdict is Verdict.FORKED


def test_more_entries_are_a_roll_back_with_both_sizes_named():
    found = judged(head(21, SECOND))
    assert found.verdict is Verdict.NEWER
    with pytest.raises(RolledBack, match=r"21 entries.*20"):
        found.require_agrees("the head file")


def test_another_root_is_a_fork():
    found = judged(head(15, SECOND, leaves=LEAVES[::-1]))
    assert found.verdict is Verdict.FORKED
    with pytest.raises(Forked, match="15 entries"):
        found.require_agrees("the token")


def test_a_key_that_is_not_known_here_is_a_roll_back_before_its_rotation():
    note = head(14, SECOND)
    keys = LogKeys(None)
    keys.begin(facts(FIRST))
    assert is_signed_by_unknown(note, ORIGIN, keys)
    found = judged(note, rotated=False)
    assert found.verdict is Verdict.UNKNOWN_KEY
    with pytest.raises(RolledBack):
        found.require_agrees("it")


def swapped(note: bytes) -> bytes:
    """The text of one head under the signature of another."""
    return head(16, SECOND).partition(b"\n\n")[0] + b"\n\n" + note.partition(b"\n\n")[2]


def test_another_log_a_bad_signature_and_garbage_are_no_heads():
    cases = [
        (head(18, STRANGER, origin="ownerd/" + "c" * 32), Verdict.FOREIGN, 18),
        (swapped(head(18, SECOND)), Verdict.BAD_SIGNATURE, 16),
        (head(18, SECOND)[:-9], Verdict.MALFORMED, None),
        (b"", Verdict.MALFORMED, None),
        (head(18, SECOND) + b"\n", Verdict.MALFORMED, None),
        (head(18, SECOND).replace(b"\n18\n", b"\n018\n"), Verdict.MALFORMED, None),
    ]
    for note, verdict, size in cases:
        found = judged(note)
        assert (found.verdict, found.size) == (verdict, size)
        with pytest.raises(BadHead):
            found.require_agrees("it")


def test_a_cosigned_head_is_judged_by_the_logs_own_signature():
    signed = cosign(head(18, SECOND), "phone/witness", STRANGER, 1_795_442_400)
    assert judged(signed).verdict is Verdict.CONSISTENT
    without = b"\n".join(line for line in signed.split(b"\n") if not line.startswith("— ownerd".encode()))
    assert judged(without).verdict is Verdict.BAD_SIGNATURE


def test_every_changed_byte_of_a_head_disagrees_or_is_none():
    note = head(18, SECOND)
    for place in range(len(note)):
        changed = bytearray(note)
        changed[place] ^= 1
        assert not judged(bytes(changed)).verdict.agrees
