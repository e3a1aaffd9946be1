"""Leaves: exact inverse, one byte form, everything bounded, nothing unknown."""

import hashlib
import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.rigs.ledgers import LedgerMaker, TestCard, TestToken, steady

from ownerd.ledger import entry
from ownerd.ledger.facts import _FACTS, format_token
from ownerd.ledger.merkle import EMPTY_ROOT
from ownerd.model.encoding import format_b64u
from ownerd.model.errors import LedgerError, Malformed
from ownerd.model.names import Kind
from ownerd.model.token import CardApproval, Fido2Approval, RecoveryApproval

TOKEN = format_token(TestToken().enrolled)
CARD, P384_CARD, RSA_CARD = (
    format_token(TestCard(algorithm=one).enrolled) for one in ("ES256", "ES384", "RS256")
)
CORE = entry.LeafCore(
    log="0123456789abcdef" * 2,
    time="2026-11-23T14:00:00.123Z",
    kind=Kind.REQUEST,
    nonce=bytes(16),
    size=3,
    root=EMPTY_ROOT,
    commitments={"claim/0": hashlib.sha256(b"0").digest(), "provider": hashlib.sha256(b"p").digest()},
    facts={},
)
APPROVAL = Fido2Approval("token", b"credential", b"client", b"auth", b"signature")
LEAF = entry.Leaf(CORE, APPROVAL, {"response": EMPTY_ROOT}, 1, EMPTY_ROOT, EMPTY_ROOT)

digests = st.binary(min_size=32, max_size=32)
label = st.from_regex(r"\A[a-z][a-z_-]{0,31}(/(0|[1-9][0-9]{0,3}))?\Z")
cores = st.builds(
    entry.LeafCore,
    log=st.from_regex(r"\A[0-9a-f]{32}\Z"),
    time=st.datetimes().map(lambda at: at.strftime("%Y").zfill(4) + at.strftime("-%m-%dT%H:%M:%S.000Z")),
    kind=st.sampled_from([kind for kind in Kind if kind not in _FACTS]),
    nonce=st.binary(min_size=16, max_size=16),
    size=st.integers(0, (1 << 53) - 1),
    root=digests,
    commitments=st.dictionaries(label, digests, max_size=4),
    facts=st.just({}),
)
approvals = st.builds(
    Fido2Approval,
    token=st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=64),
    credential_id=st.binary(min_size=1, max_size=80),
    client_data_json=st.binary(min_size=1, max_size=200),
    authenticator_data=st.binary(min_size=1, max_size=80),
    signature=st.binary(min_size=1, max_size=80),
)
card_approvals = st.builds(
    CardApproval,
    token=st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=64),
    algorithm=st.just("RS256"),
    signature=st.binary(min_size=256, max_size=512),
    type=st.sampled_from(["piv", "pkcs11"]),
)
recovery_approvals = st.builds(RecoveryApproval, st.binary(min_size=64, max_size=64))
leaves = st.builds(
    entry.Leaf,
    core=cores,
    approval=st.none() | approvals | card_approvals | recovery_approvals,
    outcome=st.just({}) | st.just({"Response".lower(): EMPTY_ROOT}),
    vault_generation=st.integers(0, (1 << 53) - 1),
    vault_digest=digests,
    opening=st.none() | digests,
).filter(lambda leaf: not leaf.core.commitments.keys() & leaf.outcome.keys())


def spoil(**members):
    """The JSON of a good leaf with members changed by dotted path; `...` deletes."""
    value = json.loads(entry.format_leaf(LEAF))
    for dotted, member in members.items():
        *way, last = dotted.split("__")
        place = value
        for name in way:
            place = place[name]
        if member is ...:
            del place[last]
        else:
            place[last] = member
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@steady
@given(leaves)
def test_leaves_read_back(leaf):
    data = entry.format_leaf(leaf)
    assert entry.parse_leaf(data) == leaf
    assert entry.format_leaf(entry.parse_leaf(data)) == data
    assert entry.format_core(leaf.core) in data
    assert rfc8785.dumps(json.loads(data)) == data


@steady
@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_noise_is_malformed(data):
    with pytest.raises(Malformed):
        entry.parse_leaf(data)


def test_every_flipped_bit_is_malformed_or_another_leaf():
    data = entry.format_leaf(LEAF)
    for place in range(len(data)):
        for bit in range(8):
            spoiled = data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
            try:
                assert entry.parse_leaf(spoiled) != LEAF
            except Malformed:
                continue


@pytest.mark.parametrize(
    "spoiled",
    [
        b" " + entry.format_leaf(LEAF),
        entry.format_leaf(LEAF) + b"\n",
        entry.format_leaf(LEAF).replace(b'"v":1', b'"v":1.0'),
        entry.format_leaf(LEAF).replace(b'"v":1', b'"v":1,"v":1'),
        entry.format_leaf(LEAF).replace(b'"size":3', b'"size":3.5'),
        entry.format_leaf(LEAF).replace(b'"size":3', b'"size":NaN'),
        entry.format_leaf(LEAF).replace(b"token", b"\\u0074oken"),
        json.dumps(json.loads(entry.format_leaf(LEAF))).encode(),
        b"[]",
        b"",
        b"[" * 100_000,
    ],
    ids=[
        "space",
        "newline",
        "float",
        "duplicate",
        "fraction",
        "nan",
        "escape",
        "pretty",
        "array",
        "empty",
        "deep",
    ],
)
def test_other_bytes_of_the_same_leaf_are_refused(spoiled):
    with pytest.raises(Malformed):
        entry.parse_leaf(spoiled)


@pytest.mark.parametrize(
    "members",
    [
        {"v": 2},
        {"v": True},
        {"v": "1"},
        {"more": 1},
        {"v": ...},
        {"core": []},
        {"core__log": "0123456789ABCDEF" * 2},
        {"core__log": "0123"},
        {"core__log": 1},
        {"core__time": "2026-11-23T14:00:00Z"},
        {"core__time": "2026-13-23T14:00:00.000Z"},
        {"core__kind": "gossip"},
        {"core__kind": ""},
        {"core__nonce": "AAAA"},
        {"core__nonce": 7},
        {"core__nonce": "AAAAAAAAAAAAAAAAAAAAAA=="},
        {"core__size": -1},
        {"core__size": 1 << 53},
        {"core__size": 3.5},
        {"core__root": "AAAA"},
        {"core__facts": {"value": "x"}},
        {"core__facts": None},
        {"core__more": 1},
        {"core__commitments": []},
        {"core__commitments": {"Claim": format_b64u(EMPTY_ROOT)}},
        {"core__commitments": {"claim/01": format_b64u(EMPTY_ROOT)}},
        {"core__commitments": {"claim/0": "AAAA"}},
        {"core__commitments": {f"claim/{n}": format_b64u(EMPTY_ROOT) for n in range(257)}},
        {"outcome": {"claim/0": format_b64u(EMPTY_ROOT)}},
        {"outcome": None},
        {"vault": {}},
        {"vault__generation": -1},
        {"vault__digest": ""},
        {"opening": ""},
        {"opening": "AA"},
        {"approval": {}},
        {"approval__type": "piv"},
        {"approval__token": ""},
        {"approval__token": "x" * 65},
        {"approval__credential": ""},
        {"approval__credential": format_b64u(bytes(1024))},
        {"approval__signature": format_b64u(bytes(129))},
        {"approval__client_data": format_b64u(bytes(1025))},
        {"approval__auth_data": ...},
    ],
    ids=str,
)
def test_other_members_are_refused(members):
    with pytest.raises(Malformed):
        entry.parse_leaf(spoil(**members))


@pytest.mark.parametrize(
    ("algorithm", "sizes"), [("ES256", (64, 64)), ("ES384", (96, 96)), ("RS256", (256, 512))]
)
def test_signatures_of_cards_have_the_length_of_their_algorithm(algorithm, sizes):
    least, most = sizes
    for size in (least, most):
        leaf = replace(LEAF, approval=CardApproval("card", algorithm, bytes(size), "pkcs11"))
        assert entry.parse_leaf(entry.format_leaf(leaf)) == leaf
    for size in (0, least - 1, most + 1):
        with pytest.raises(Malformed):
            entry.format_leaf(replace(LEAF, approval=CardApproval("card", algorithm, bytes(size))))


CARD_JSON = {
    "type": "piv",
    "token": "card",
    "algorithm": "ES256",
    "signature": format_b64u(bytes(64)),
}
RECOVERY_JSON = {"type": "recovery", "signature": format_b64u(bytes(64))}


def test_the_approvals_that_the_next_test_spoils_are_good():
    assert entry.parse_leaf(spoil(approval=CARD_JSON)).approval == CardApproval("card", "ES256", bytes(64))
    assert entry.parse_leaf(spoil(approval=RECOVERY_JSON)).approval == RecoveryApproval(bytes(64))


@pytest.mark.parametrize(
    "approval",
    [
        [],
        "piv",
        {**CARD_JSON, "type": "PIV"},
        {**CARD_JSON, "type": "fido2"},
        {**CARD_JSON, "type": "recovery"},
        {**CARD_JSON, "type": ["piv"]},
        {**CARD_JSON, "token": ""},
        {**CARD_JSON, "token": "x" * 65},
        {**CARD_JSON, "algorithm": "none"},
        {**CARD_JSON, "algorithm": "ES512"},
        {**CARD_JSON, "algorithm": "HS256"},
        {**CARD_JSON, "algorithm": None},
        {**CARD_JSON, "algorithm": "ES384"},
        {**CARD_JSON, "credential": "AA"},
        {name: CARD_JSON[name] for name in ("type", "token", "signature")},
        {**RECOVERY_JSON, "token": "card"},
        {**RECOVERY_JSON, "signature": format_b64u(bytes(63))},
        {**RECOVERY_JSON, "signature": format_b64u(bytes(65))},
        {"type": "recovery"},
    ],
    ids=str,
)
def test_other_approvals_are_refused(approval):
    with pytest.raises(Malformed):
        entry.parse_leaf(spoil(approval=approval))


def test_what_would_not_read_back_is_not_written():
    for leaf in (
        replace(LEAF, vault_generation=-1),
        replace(LEAF, vault_generation=1 << 54),
        replace(LEAF, opening=b""),
        replace(LEAF, outcome={"claim/0": EMPTY_ROOT}),
        replace(LEAF, core=replace(CORE, time="now")),
        replace(LEAF, core=replace(CORE, facts={"x": object()})),
        replace(LEAF, core=replace(CORE, facts={"x": "\ud800"})),
        replace(LEAF, approval=replace(APPROVAL, token="\ud800")),
    ):
        with pytest.raises(Malformed):
            entry.format_leaf(leaf)
    with pytest.raises(Malformed):
        entry.format_core(replace(CORE, nonce=b"short"))


@pytest.mark.parametrize("odd", [float("nan"), 1.5, b"x", (1,), {1}], ids=repr)
def test_a_fact_that_is_not_plain_json_is_not_written(odd):
    """The encoder alone would make something of each."""
    for kind, facts in GOOD_FACTS:
        for name in facts:
            core = replace(CORE, kind=Kind(kind), facts={**facts, name: odd})
            with pytest.raises(Malformed):
                entry.format_leaf(replace(LEAF, core=core))


def test_a_leaf_is_bounded():
    many = {f"{'a' * 31}{letter}/{n}": EMPTY_ROOT for letter in "abcdefgh" for n in range(1000, 1032)}
    outcome = {f"{'b' * 31}{letter}/{n}": EMPTY_ROOT for letter in "abcdefgh" for n in range(1000, 1032)}
    credential = bytes(1023)
    approval = Fido2Approval("t" * 64, credential, bytes(1024), bytes(1024), bytes(128))
    leaf = entry.Leaf(replace(CORE, commitments=many), approval, outcome, 1, EMPTY_ROOT, EMPTY_ROOT)
    assert len(entry.format_leaf(leaf)) <= entry.MAX_LEAF_BYTES
    with pytest.raises(Malformed):
        entry.parse_leaf(entry.format_leaf(leaf) + b" " * entry.MAX_LEAF_BYTES)
    erased = {"entries": list(range((1 << 53) - 4096, 1 << 53))}
    with pytest.raises(Malformed, match="large"):
        entry.format_leaf(replace(leaf, core=replace(CORE, kind=Kind.ERASED, facts=erased)))


def test_core_and_digest_depend_on_every_member():
    others = [
        replace(CORE, log="f" * 32),
        replace(CORE, time="2026-11-23T14:00:00.124Z"),
        replace(CORE, kind=Kind.OFFER),
        replace(CORE, nonce=b"1" * 16),
        replace(CORE, size=4),
        replace(CORE, root=bytes(32)),
        replace(CORE, commitments={}),
    ]
    assert len({entry.challenge(core) for core in [CORE, *others]}) == 8
    assert len({entry.core_digest(core) for core in [CORE, *others]}) == 8


GOOD_FACTS = [
    (Kind.TOKEN_ENROLLED, {"token": TOKEN}),
    (Kind.TOKEN_ENROLLED, {"token": CARD}),
    (Kind.TOKEN_ENROLLED, {"token": {**P384_CARD, "type": "pkcs11"}}),
    (Kind.TOKEN_ENROLLED, {"token": RSA_CARD}),
    (Kind.TOKEN_REMOVED, {"token": "token-1"}),
    (Kind.RECOVERY_SET, {"public_key": format_b64u(bytes(32))}),
    (Kind.KEY_ROTATED, {}),
    (Kind.KEY_ROTATED, LedgerMaker().rotated("new")),
    (Kind.DISCLOSURE, {}),
    (Kind.DISCLOSURE, {"grant": 4}),
    (Kind.DELIVERED, {"entry": 4}),
    (Kind.GRANT_ENDED, {"grant": 4}),
    (Kind.FAILED, {"error": "TokenMissing"}),
    (Kind.REFUSED, {"error": "NotAllowed"}),
    (Kind.LOCKED, {"reason": "screen locked"}),
    (Kind.ERASED, {"entries": [1, 2, 9]}),
    (Kind.UNLOCKED, {}),
]
BAD_FACTS = [
    (Kind.GENESIS, {}),
    (Kind.GENESIS, {"verifier_key": "x", "opening_key": format_b64u(bytes(32))}),
    (Kind.TOKEN_ENROLLED, {"token": {**TOKEN, "rp_id": "example.com"}}),
    (Kind.TOKEN_ENROLLED, {"token": {**TOKEN, "type": "piv"}}),
    (Kind.TOKEN_ENROLLED, {"token": {**TOKEN, "user_verification": 1}}),
    (Kind.TOKEN_ENROLLED, {"token": {**TOKEN, "id": "a b"}}),
    (Kind.TOKEN_ENROLLED, {"token": {**TOKEN, "aaguid": "?"}}),
    (Kind.TOKEN_ENROLLED, {"token": {**TOKEN, "credential": ""}}),
    (Kind.TOKEN_ENROLLED, {"token": {**TOKEN, "public_key": {**TOKEN["public_key"], "alg": "ES256"}}}),
    (Kind.TOKEN_ENROLLED, {"token": {**TOKEN, "public_key": {**TOKEN["public_key"], "kty": "OKP"}}}),
    (Kind.TOKEN_ENROLLED, {"token": {**TOKEN, "public_key": {**TOKEN["public_key"], "crv": "P-384"}}}),
    (Kind.TOKEN_ENROLLED, {"token": {**TOKEN, "public_key": {**TOKEN["public_key"], "x": "AA"}}}),
    (
        Kind.TOKEN_ENROLLED,
        {"token": {**TOKEN, "public_key": {**TOKEN["public_key"], "y": format_b64u(bytes(32))}}},
    ),
    (Kind.TOKEN_ENROLLED, {"token": {**CARD, "type": "openpgp"}}),
    (Kind.TOKEN_ENROLLED, {"token": {**CARD, "type": "fido2"}}),
    (Kind.TOKEN_ENROLLED, {"token": {**CARD, "algorithm": "ES384"}}),
    (Kind.TOKEN_ENROLLED, {"token": {**RSA_CARD, "algorithm": "PS256"}}),
    (Kind.TOKEN_ENROLLED, {"token": {**CARD, "public_key": RSA_CARD["public_key"]}}),
    (Kind.TOKEN_ENROLLED, {"token": {**CARD, "id": "a b"}}),
    (Kind.TOKEN_ENROLLED, {"token": {**CARD, "software": 0}}),
    (Kind.TOKEN_ENROLLED, {"token": {**CARD, "user_verification": True}}),
    (Kind.TOKEN_ENROLLED, {"token": None}),
    (Kind.TOKEN_REMOVED, {}),
    (Kind.RECOVERY_SET, {}),
    (Kind.RECOVERY_SET, {"public_key": format_b64u(bytes(31))}),
    (Kind.RECOVERY_SET, {"public_key": {"kty": "OKP"}}),
    (Kind.KEY_ROTATED, {"verifier_key": LedgerMaker().verifier_key}),
    (Kind.KEY_ROTATED, {"opening_key": format_b64u(bytes(32))}),
    (Kind.KEY_ROTATED, {"verifier_key": "x", "opening_key": format_b64u(bytes(32))}),
    (Kind.DISCLOSURE, {"grant": "4"}),
    (Kind.DISCLOSURE, {"grant": True}),
    (Kind.DELIVERED, {"entry": 1.5}),
    (Kind.FAILED, {"error": "no such token: 17"}),
    (Kind.LOCKED, {"reason": "ünwell"}),
    (Kind.LOCKED, {"reason": ""}),
    (Kind.ERASED, {"entries": []}),
    (Kind.ERASED, {"entries": 1}),
    (Kind.ERASED, {"entries": [2, 1]}),
    (Kind.ERASED, {"entries": [1, 1]}),
    (Kind.ERASED, {"entries": [-1]}),
    (Kind.ERASED, {"entries": list(range(4097))}),
    (Kind.UNLOCKED, {"grant": 1}),
]


@pytest.mark.parametrize(("kind", "facts"), GOOD_FACTS, ids=range(len(GOOD_FACTS)))
def test_facts_of_each_kind(kind, facts):
    core = replace(CORE, kind=kind, facts=facts)
    leaf = replace(LEAF, core=core)
    assert entry.parse_leaf(entry.format_leaf(leaf)).core == core


@pytest.mark.parametrize(("kind", "facts"), BAD_FACTS, ids=range(len(BAD_FACTS)))
def test_other_facts_are_refused(kind, facts):
    with pytest.raises(Malformed):
        entry.format_core(replace(CORE, kind=kind, facts=facts))


def test_commitments_bind_label_salt_and_value():
    salt = bytes(16)
    assert len({entry.commit("a", salt, 1), entry.commit("b", salt, 1), entry.commit("a", salt, 2)}) == 3
    assert entry.commit("a", b"1" * 16, 1) != entry.commit("a", salt, 1)
    for arguments in (("a", b"short", 1), ("A", salt, 1), ("a", salt, float("nan")), ("a", salt, 1 << 60)):
        with pytest.raises(LedgerError):
            entry.commit(*arguments)
