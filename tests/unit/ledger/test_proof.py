"""Proof files: written and read in one form, believed only as far as they verify, hostile ones refused by name."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.rigs.ledgers import LedgerMaker, TestToken, steady

from ownerd.ledger.entry import MAX_LAG, Leaf, format_leaf, origin, parse_leaf
from ownerd.ledger.merkle import Frontier, inclusion_proof, leaf_hash
from ownerd.ledger.note import MAX_SIZE, format_checkpoint, parse_verifier_key, sign_note
from ownerd.ledger.opening import OpeningValue, SealedOpening, open_opening
from ownerd.ledger.proof import (
    MAX_PROOF_BYTES,
    Proof,
    TlogProof,
    format_proof,
    format_tlog_proof,
    make_proof,
    parse_proof,
    parse_tlog_proof,
    verify_proof,
)
from ownerd.model.errors import BadSignature, InvalidArgument, LedgerError, Malformed, Tampered
from ownerd.model.names import Kind

COMPOSED, DECOMPOSED = "Zo\u00eb", "Zoe\u0308"


def made() -> tuple[LedgerMaker, int]:
    maker, token = LedgerMaker("proof"), TestToken()
    maker.set_up(token)
    values = {"provider": "shop.example", "claim/0": ["name", COMPOSED], "claim/1": {"a": [1, None, True]}}
    seq = maker.append(Kind.DISCLOSURE, values, token=token, outcome={"response": "eyJ…"})
    for _ in range(4):
        maker.append(Kind.OFFER, {"statement": {"v": 1}})
    return maker, seq


MAKER, SEQ = made()
KEY = parse_verifier_key(MAKER.verifier_key)
HASHES = [leaf_hash(leaf) for _, leaf in MAKER.tables.entries]


def opened(*labels: str) -> dict[str, OpeningValue]:
    _, wrapped, ciphertext = next(row for row in MAKER.tables.openings if row[0] == SEQ)
    leaf = parse_leaf(MAKER.tables.entries[SEQ][1])
    values = open_opening(SealedOpening(wrapped, ciphertext), leaf.core, MAKER.opening_key)
    return {label: values[label] for label in labels}


def proof(*labels: str) -> Proof:
    return make_proof(
        MAKER.tables.entries[SEQ][1], SEQ, inclusion_proof(HASHES, SEQ), MAKER.head(), opened(*labels)
    )


def test_a_proof_without_openings_shows_the_place_and_no_value():
    proven = verify_proof(proof(), KEY)
    assert (proven.index, proven.checkpoint.size, proven.signed) == (SEQ, 7, True)
    assert proven.closed == ("claim/0", "claim/1", "provider", "response")
    assert b"Zo" not in format_proof(proof())


def test_one_claim_can_be_opened_and_the_rest_stays_closed():
    proven = verify_proof(parse_proof(format_proof(proof("claim/0"))), KEY)
    assert proven.opened["claim/0"].value == ["name", COMPOSED]
    assert proven.closed == ("claim/1", "provider", "response")
    assert b"shop.example" not in format_proof(proof("claim/0"))


def test_without_the_key_nobody_vouches_for_the_tree():
    assert not verify_proof(proof(), None).signed


@pytest.mark.parametrize("labels", [(), ("claim/0",), ("provider", "claim/1", "response")])
def test_what_is_written_is_read_back(labels):
    one = proof(*labels)
    assert parse_proof(format_proof(one)) == one
    text = format_tlog_proof(one.tlog)
    assert parse_tlog_proof(text) == one.tlog
    assert text.startswith(f"c2sp.org/tlog-proof@v1\nindex {SEQ}\n")


@pytest.mark.parametrize("seq", range(7))
def test_every_entry_can_be_proven(seq):
    one = make_proof(MAKER.tables.entries[seq][1], seq, inclusion_proof(HASHES, seq), MAKER.head(), {})
    assert verify_proof(one, KEY).index == seq


def test_a_cosigned_checkpoint_serves_as_well():
    one = proof()
    name, blob = "witness.example", base64.b64encode(b"wkey" + bytes(72)).decode()
    cosigned = one.tlog.checkpoint + f"\u2014 {name} {blob}\n".encode()
    assert verify_proof(replace(one, tlog=replace(one.tlog, checkpoint=cosigned)), KEY).signed


# -- lies --


def lie(**changes: object) -> Proof:
    one = proof("claim/0")
    tlog = replace(one.tlog, **{k: v for k, v in changes.items() if k in ("index", "hashes", "checkpoint")})
    return replace(one, tlog=tlog, **{k: v for k, v in changes.items() if k in ("leaf", "opened")})


STRANGER = LedgerMaker("stranger", log=MAKER.log)
STRANGER.set_up(TestToken())


@pytest.mark.parametrize(
    ("false", "error"),
    [
        (lambda: lie(index=SEQ + 1), Tampered),
        (lambda: lie(index=7), Malformed),
        (lambda: lie(hashes=()), Malformed),
        (lambda: lie(hashes=(*proof().tlog.hashes, bytes(32))), Malformed),
        (lambda: lie(hashes=tuple(reversed(proof().tlog.hashes))), Tampered),
        (lambda: lie(leaf=MAKER.tables.entries[4][1]), Tampered),
        (lambda: lie(leaf=proof().leaf.replace(b"disclosure", b"owner-read")), Tampered),
        (lambda: lie(checkpoint=STRANGER.head()), BadSignature),
        (lambda: lie(opened={"claim/0": opened("claim/1")["claim/1"]}), Tampered),
        (lambda: lie(opened={"claim/7": opened("claim/1")["claim/1"]}), Tampered),
        (lambda: lie(opened={"claim/0": OpeningValue(bytes(16), ["name", COMPOSED])}), Tampered),
        (lambda: lie(opened={"claim/0": replace(opened("claim/0")["claim/0"], value=["name", DECOMPOSED])}), Tampered),
        (lambda: lie(opened={"\u0441laim/0": opened("claim/0")["claim/0"]}), Tampered),
    ],
)  # fmt: skip
def test_a_lie_is_refused(false, error):
    with pytest.raises(error):
        verify_proof(false(), KEY)


def test_a_leaf_that_is_no_entry_of_this_log_is_refused_even_in_its_tree():
    """The log's key could sign anything; only entries that may stand there are proven."""
    other = LedgerMaker("other")
    other.set_up(TestToken())
    for leaf, sentence in ((b"{}", "member"), (other.tables.entries[1][1], "another log")):
        maker = LedgerMaker("proof")
        maker.append_bytes(leaf)
        with pytest.raises(LedgerError, match=sentence):
            make_proof(leaf, 0, [], maker.head(), {})


def test_an_entry_in_a_place_it_was_not_made_for_is_refused():
    leaf = MAKER.tables.entries[SEQ][1]
    maker = LedgerMaker("proof")
    maker.append_bytes(leaf)
    with pytest.raises(Tampered, match="another place"):
        make_proof(leaf, 0, [], maker.head(), {})


@pytest.mark.parametrize(("behind", "stands"), [(MAX_LAG, True), (MAX_LAG + 1, False)])
def test_an_entry_may_stand_so_far_from_the_tree_it_saw_and_no_further(behind, stands):
    maker = LedgerMaker("late")
    leaf = format_leaf(Leaf(maker.core(Kind.REQUEST), None, {}, 1, bytes(32), None))
    hashes = [bytes(32)] * behind + [leaf_hash(leaf)]
    maker.frontier = Frontier.from_leaf_hashes(hashes)
    parts = leaf, behind, inclusion_proof(hashes, behind), maker.head(), {}
    if stands:
        assert make_proof(*parts).leaf == leaf
    else:
        with pytest.raises(Tampered, match="another place"):
            make_proof(*parts)


def test_an_index_beyond_every_tree_is_no_proof():
    assert parse_tlog_proof(TEXT.replace(f"index {SEQ}", f"index {MAX_SIZE}")).index == MAX_SIZE
    with pytest.raises(Malformed, match="index"):
        parse_tlog_proof(TEXT.replace(f"index {SEQ}", f"index {MAX_SIZE + 1}"))


def test_a_tree_of_another_log_is_refused_though_this_logs_key_signed_it():
    other = LedgerMaker("elsewhere")
    other.append(Kind.REQUEST, {"app": "mail"})
    text = format_checkpoint(origin(other.log), 1, other.frontier.root())
    signed = sign_note(text, origin(MAKER.log), MAKER.log_key)
    with pytest.raises(BadSignature, match="another log"):
        verify_proof(Proof(other.tables.entries[0][1], TlogProof(0, (), signed), {}), KEY)


# -- bytes --

GOOD = format_proof(proof("claim/0"))


@pytest.mark.parametrize("size", range(0, len(GOOD), 7))
def test_a_truncated_file_is_refused(size):
    with pytest.raises(Malformed):
        parse_proof(GOOD[:size])


@steady
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_changed_byte_is_found(where, change):
    changed = GOOD[:where] + bytes([GOOD[where] ^ change]) + GOOD[where + 1 :]
    with pytest.raises(LedgerError):
        verify_proof(parse_proof(changed), KEY)


def edited(change) -> bytes:
    value = json.loads(GOOD)
    change(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


TEXT = json.loads(GOOD)["proof"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"[]\n",
        b"null\n",
        GOOD + b"\n",
        b" " + GOOD,
        b"\xef\xbb\xbf" + GOOD,
        GOOD.replace(b'"v":1', b'"v":1,"v":1'),
        GOOD.replace(b'"opened":{', b'"opened":{},"opened":{'),
        GOOD.replace(b'"v":1', b'"v":1.0'),
        GOOD.replace(b'"v":1', b'"v":2'),
        GOOD.replace(COMPOSED.encode(), b"Zo\\u00eb"),
        b'{"v":' * 2000 + b"1" + b"}" * 2000 + b"\n",
        b'{"leaf":"' + b"A" * (MAX_PROOF_BYTES + 4) + b'"}\n',
        edited(lambda v: v.update(more=1)),
        edited(lambda v: v.pop("opened")),
        edited(lambda v: v.update(opened=[])),
        edited(lambda v: v["opened"]["claim/0"].update(more=1)),
        edited(lambda v: v["opened"]["claim/0"].update(salt="AAAA")),
        edited(lambda v: v.update(leaf=v["leaf"] + "==")),
        edited(lambda v: v.update(leaf="A" * 90_000)),
        edited(lambda v: v.update(leaf=7)),
        *(
            edited(lambda v, text=text: v.update(proof=text))
            for text in (
                "",
                TEXT.replace("@v1", "@v2"),
                TEXT.replace("index 2", "index 02"),
                TEXT.replace("index 2", "index -1"),
                TEXT.replace("index 2", "index \u0662"),
                TEXT.replace("index 2", "index 99999999999999999999"),
                TEXT.replace("index 2", "index 9223372036854775808"),
                TEXT.replace("index 2\n", "extra AAAA\nindex 2\n"),
                TEXT.replace("index 2\n", "index 2\nindex 2\n"),
                TEXT.replace("index 2\n", ""),
                TEXT.replace("index 2\n", "index 2\n" + "A" * 43 + "=\n" * 1),
                TEXT.replace("index 2\n", "index 2\n" + ("A" * 43 + "=\n") * 64),
                TEXT.replace("index 2\n", "index 2\nAAAA\n"),
                TEXT.replace("index 2\n", "index 2\n" + "A" * 42 + "B=\n"),
                TEXT.replace("\n", "\r\n"),
                TEXT.replace("\u2014", "\u2013"),
                TEXT.replace("\n\n", "\n", 1),
                TEXT + "\n",
                TEXT.rstrip("\n"),
            )
        ),
    ],
)
def test_a_hand_made_file_is_refused(data):
    with pytest.raises(LedgerError):
        verify_proof(parse_proof(data), KEY)


@pytest.mark.parametrize(
    "data",
    [
        GOOD[:-1] + b" ",
        edited(lambda v: v.update(leaf="A" * 90_000)),
        *(
            edited(lambda v, text=text: v.update(proof=text))
            for text in (
                TEXT.replace("index 2\n", "index 2\n" + ("A" * 43 + "=\n") * 64),
                TEXT.replace("index 2\n", "index 2\n" + "A" * 42 + "B=\n"),
                TEXT.replace("index 2\n", "index 2\n" + "A" * 43 + "=\x00\n"),
                TEXT.replace("\u2014", "\u2013"),
            )
        ),
    ],
)
def test_what_is_no_proof_is_refused_before_anything_is_computed(data):
    with pytest.raises(Malformed):
        parse_proof(data)


def test_the_longest_path_is_read():
    head, _, checkpoint = TEXT.partition("\n\n")
    hashes = [base64.b64encode(bytes([place]) * 32).decode() for place in range(63)]
    text = "\n".join([*head.split("\n")[:2], *hashes]) + "\n\n" + checkpoint
    assert len(parse_tlog_proof(text).hashes) == 63
    with pytest.raises(Malformed, match="too long"):
        parse_tlog_proof(text.replace("\n\n", f"\n{hashes[0]}\n\n", 1))


def test_only_what_can_be_read_back_is_written():
    one = proof()
    for wrong in (
        replace(one, tlog=TlogProof(-1, one.tlog.hashes, one.tlog.checkpoint)),
        replace(one, tlog=TlogProof(1, (b"short",), one.tlog.checkpoint)),
        replace(one, tlog=TlogProof(1, one.tlog.hashes, b"\xff\n\nx\n")),
        replace(one, opened={"claim/0": OpeningValue(b"short", 1)}),
    ):
        with pytest.raises((Malformed, InvalidArgument)):
            format_proof(wrong)
