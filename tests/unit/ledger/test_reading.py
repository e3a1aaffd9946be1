"""The fast reader of leaves: it reads what `parse_leaf` reads, and nothing else."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rigs.ledgers import bad_day_ledger, small_ledger, steady
from tests.rigs.long_ledgers import long_ledger

from ownerd.ledger import reading
from ownerd.ledger.entry import MAX_LEAF_BYTES, challenge, parse_leaf
from ownerd.ledger.reading import read_entry
from ownerd.model.errors import Malformed
from ownerd.model.names import Kind

LEAVES = [
    leaf for maker in (small_ledger(), bad_day_ledger(), long_ledger(150)) for _, leaf in maker.tables.entries
]
ALPHABET = b'{}[]":,\\ 019-+.eE_azAZ=/\x00\x7f\xc3\xa9null'


def both(data: bytes) -> tuple[object, object]:
    """What the two readers make of the same bytes."""
    found = []
    for read in (_slow, read_entry):
        try:
            found.append(read(data))
        except Malformed:
            found.append("Malformed")
    return found[0], found[1]


def _slow(data: bytes) -> reading.Entry:
    leaf = parse_leaf(data)
    core = leaf.core
    return reading.Entry(
        core.log,
        core.time,
        core.kind,
        core.size,
        core.root,
        core.facts,
        leaf.approval,
        leaf.opening,
        challenge(core),
    )


def test_it_reads_every_kind_of_entry_as_the_slow_reader_does():
    assert {parse_leaf(leaf).core.kind for leaf in LEAVES} == set(Kind)
    for leaf in LEAVES:
        slow, quick = both(leaf)
        assert slow == quick != "Malformed"


def test_it_needs_the_slow_reader_for_next_to_nothing():
    slow = [leaf for leaf in LEAVES if reading._quick(leaf) is None]
    assert {parse_leaf(leaf).core.kind for leaf in slow} <= {Kind.TOKEN_ENROLLED}


@steady
@given(st.sampled_from(LEAVES), st.integers(0, 1 << 30), st.sampled_from(list(ALPHABET)))
def test_a_byte_changed_or_put_in_or_gone_is_judged_alike(leaf, where, byte):
    where %= len(leaf)
    for changed in (
        leaf[:where] + bytes([byte]) + leaf[where + 1 :],
        leaf[:where] + bytes([byte]) + leaf[where:],
        leaf[:where] + leaf[where + 1 :],
    ):
        slow, quick = both(changed)
        assert slow == quick


def test_every_byte_of_some_leaves_flipped_is_judged_alike():
    rng = random.Random(5)
    for kind in (Kind.DISCLOSURE, Kind.GRANT, Kind.ERASED, Kind.LOCKED, Kind.FAILED):
        leaf = next(leaf for leaf in LEAVES if parse_leaf(leaf).core.kind is kind)
        for where in range(len(leaf)):
            changed = leaf[:where] + bytes([leaf[where] ^ (1 << rng.randrange(8))]) + leaf[where + 1 :]
            slow, quick = both(changed)
            assert slow == quick, (kind, where)


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def changed(kind: Kind, change) -> bytes:
    value = json.loads(next(leaf for leaf in LEAVES if parse_leaf(leaf).core.kind is kind))
    change(value)
    return canonical(value)


D, E, G, L, T = Kind.DISCLOSURE, Kind.ERASED, Kind.GRANT, Kind.LOCKED, Kind.TOKEN_ENROLLED


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (D, lambda v: v["core"].update(time="2026-02-30T10:00:00.000Z")),
        (D, lambda v: v["core"].update(time="2026-02-28T24:00:00.000Z")),
        (D, lambda v: v["core"].update(time="0000-01-01T00:00:00.000Z")),
        (D, lambda v: v["core"].update(size=1 << 53)),
        (D, lambda v: v["core"].update(size=True)),
        (D, lambda v: v["vault"].update(generation=9999999999999999)),
        (D, lambda v: v["core"].update(kind="unknown")),
        (D, lambda v: v["core"].update(root=v["core"]["root"][:-1] + "B")),
        (D, lambda v: v["core"].update(nonce=v["core"]["nonce"][:-1] + "B")),
        (D, lambda v: v["outcome"].update(statement=v["core"]["root"])),
        (D, lambda v: v["core"]["commitments"].update({f"claim/{n}": v["core"]["root"] for n in range(257)})),
        (D, lambda v: v["outcome"].update({f"extra/{n}": v["core"]["root"] for n in range(257)})),
        (D, lambda v: v["approval"].update(credential="")),
        (D, lambda v: v["approval"].update(signature="A" * 200)),
        (D, lambda v: v["approval"].update(credential="A" * 2000)),
        (D, lambda v: v["approval"].update(token="x" * 65)),
        (D, lambda v: v["approval"].update(signature="AB")),
        *(
            (D, lambda v, name=name, text=text: v["approval"].update({name: text}))
            for name in ("auth_data", "client_data", "signature")
            for text in ("", "A" * 1366, "A" * 1368)
        ),
        (D, lambda v: v["core"]["facts"].update(grant=1 << 60)),
        (D, lambda v: v["core"]["facts"].update(grant="1")),
        (D, lambda v: v["core"].update(facts={"entry": 3})),
        (Kind.DELIVERED, lambda v: v["core"].update(facts={"grant": 3})),
        (L, lambda v: v["core"].update(facts={"entry": 3})),
        (T, lambda v: v["core"]["facts"]["token"]["public_key"].update(kty="RSA")),
        (T, lambda v: v["core"]["facts"]["token"].update(id="{}")),
        (T, lambda v: v["core"]["facts"].update(token={"x": {"y": {}}})),
        (D, lambda v: v["approval"].update(signature="ABC")),
        (D, lambda v: v["approval"].update(signature="ABCDE")),
        (E, lambda v: v["core"]["facts"].update(entries=[3, 3])),
        (E, lambda v: v["core"]["facts"].update(entries=[1.0])),
        (E, lambda v: v["core"]["facts"].update(entries=[[3]])),
        (G, lambda v: v["core"]["facts"].update(until="never")),
        (G, lambda v: v["core"]["facts"].update(count=0)),
        (L, lambda v: v["core"]["facts"].update(reason='a "quoted" \\ reason')),
        (L, lambda v: v["core"]["facts"].update(reason="é")),
        (L, lambda v: v["core"]["facts"].update(reason="")),
        (L, lambda v: v["core"]["facts"].update(reason="{}")),
    ],
)
def test_odd_members_in_canonical_form_are_judged_alike(kind, change):
    slow, quick = both(changed(kind, change))
    assert slow == quick


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        (E, b'{"entries":[', b'{"entries":[ '),
        (E, b'{"entries":[', b'{ "entries":['),
        (E, b'"facts":{"entries"', b'"facts":{"entries":[0],"entries"'),
        (E, b'{"entries":[', b'{"entries":' + b"[" * 20_000),
        (D, b'"claim/0":', b'"claim/00":'),
        (D, b'"size":', b'"size":0'),
        (D, b'{"grant":', b'{"grant":0'),
        (L, b'"reason":"', b'"reason": "'),
        (L, b'{"reason":"suspend"}', b'{"reason":"suspend","reason":"suspend"}'),
        (G, b'{"count":', b'{"count":0'),
        (Kind.UNLOCKED, b'"type":"recovery"', b'"type": "recovery"'),
    ],
)
def test_bytes_that_are_not_canonical_are_judged_alike(kind, old, new):
    leaf = next(leaf for leaf in LEAVES if parse_leaf(leaf).core.kind is kind and old in leaf)
    assert both(leaf.replace(old, new, 1)) == ("Malformed", "Malformed")


@pytest.mark.parametrize("more", [0, 1])
def test_a_canonical_leaf_of_the_largest_size_is_judged_alike(more):
    value = json.loads(next(leaf for leaf in LEAVES if parse_leaf(leaf).core.kind is E))
    facts = value["core"]["facts"]
    facts["entries"] = []
    facts["entries"] = sized_list(MAX_LEAF_BYTES + more - len(canonical(value)))
    data = canonical(value)
    assert len(data) == MAX_LEAF_BYTES + more
    slow, quick = both(data)
    assert slow == quick
    assert (slow == "Malformed") is bool(more)


def sized_list(size: int) -> list[int]:
    """Ascending numbers whose JSON, brackets apart, has ``size`` bytes."""
    short = -(size - 16) % 16  # of 14 digits; then many of 15, and one of 16
    many = (size - 16 - 15 * short) // 16
    return [*range(10**13, 10**13 + short), *range(10**14, 10**14 + many), 10**15]


@pytest.mark.parametrize("length", [65536, 65537])
def test_the_largest_leaf_is_judged_alike(length):
    value = json.loads(next(leaf for leaf in LEAVES if parse_leaf(leaf).core.kind is Kind.DISCLOSURE))
    root = value["core"]["root"]
    value["core"]["commitments"] = {f"{'a' * 30}/{n}": root for n in range(1000, 1256)}
    value["outcome"] = {f"{'b' * 30}/{n}": root for n in range(1000, 1256)}
    data = canonical(value)
    slow, quick = both(data + b" " * (length - len(data)))
    assert slow == quick == "Malformed"
    slow, quick = both(data)
    assert slow == quick != "Malformed"


def test_labels_out_of_order_are_no_canonical_leaf():
    leaf = next(leaf for leaf in LEAVES if parse_leaf(leaf).core.kind is Kind.DISCLOSURE)
    swapped = leaf.replace(b'"claim/0"', b'"zlaim/0"', 1)
    assert both(swapped) == ("Malformed", "Malformed")
    twice = leaf.replace(b'"provider"', b'"claim/0"', 1)
    assert both(twice) == ("Malformed", "Malformed")
