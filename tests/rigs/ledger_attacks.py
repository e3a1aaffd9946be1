"""Attacks on a ledger, each with the name under which it must be found. They need what an attacker would need, no more."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace
from tests.rigs.ledgers import Tables
from tests.rigs.long_ledgers import DayMaker

from ownerd.ledger.entry import format_leaf, parse_leaf
from ownerd.ledger.findings import Damage
from ownerd.ledger.merkle import Frontier, leaf_hash
from ownerd.model.names import Kind


@dataclass
class Attacked:
    """What the attacker leaves behind, how it is verified, and what has to be said about which entry."""

    tables: Tables
    name: Damage
    entry: int | None
    options: dict[str, Any] = field(default_factory=dict)


Attack = Callable[[DayMaker], Attacked]


def branch(maker: DayMaker) -> DayMaker:
    """The same ledger, to be gone on with apart from the first."""
    other = copy.copy(maker)
    other.tables, other.frontier = maker.tables.copy(), maker.frontier.copy()
    return other


def last_of(tables: Tables, *kinds: Kind, approved: bool = False, before: int | None = None) -> int:
    for seq, data in reversed(tables.entries[:before]):
        leaf = parse_leaf(data)
        if leaf.core.kind in kinds and (leaf.approval is not None or not approved):
            return seq
    raise AssertionError(f"no {kinds}")


def cut(tables: Tables, size: int) -> Tables:
    """The file as it was when it had ``size`` entries."""
    return Tables(
        tables.entries[:size],
        [row for row in tables.checkpoints if row[0] <= size],
        [row for row in tables.openings if row[0] < size],
    )


def renumbered(
    tables: Tables, at: int, by: int
) -> tuple[list[tuple[int, bytes]], list[tuple[int, bytes, bytes]]]:
    """Entries and openings from ``at`` on, moved by ``by``."""
    return (
        [(seq + by, leaf) for seq, leaf in tables.entries if seq >= at],
        [(seq + by, wrapped, cipher) for seq, wrapped, cipher in tables.openings if seq >= at],
    )


def edit(maker: DayMaker) -> Attacked:
    tables = maker.tables.copy()
    seq = last_of(tables, Kind.REFUSED)
    tables.entries[seq] = (seq, tables.entries[seq][1].replace(b'"Dismissed"', b'"Cancelled"'))
    return Attacked(tables, Damage.ROOT_MISMATCH, seq)


def edit_an_approved_act(maker: DayMaker) -> Attacked:
    tables = maker.tables.copy()
    seq = last_of(tables, Kind.DISCLOSURE, approved=True)
    leaf = parse_leaf(tables.entries[seq][1])
    commitments = {**leaf.core.commitments, "provider": bytes(32)}
    tables.entries[seq] = (seq, format_leaf(replace(leaf, core=replace(leaf.core, commitments=commitments))))
    return Attacked(tables, Damage.BAD_APPROVAL, seq)


def delete(maker: DayMaker) -> Attacked:
    tables = maker.tables.copy()
    seq = last_of(tables, Kind.RECEIPT)
    del tables.entries[seq]
    return Attacked(tables, Damage.GAP, seq)


def delete_and_close_the_gap(maker: DayMaker) -> Attacked:
    tables = maker.tables.copy()
    seq = last_of(tables, Kind.REFUSED)
    entries, openings = renumbered(tables, seq + 1, -1)
    kept = cut(tables, seq)
    return Attacked(
        Tables(kept.entries + entries, tables.checkpoints, kept.openings + openings),
        Damage.ROOT_MISMATCH,
        seq,
    )


def insert(maker: DayMaker) -> Attacked:
    tables = maker.tables.copy()
    seq = last_of(tables, Kind.DISCLOSURE)
    entries, openings = renumbered(tables, seq + 1, 1)
    kept = cut(tables, seq + 1)
    copied = [(seq + 1, kept.entries[seq][1])]
    return Attacked(
        Tables(kept.entries + copied + entries, tables.checkpoints, kept.openings + openings),
        Damage.REPLAYED,
        seq + 1,
    )


def reorder(maker: DayMaker) -> Attacked:
    tables = maker.tables.copy()
    seq = last_of(tables, Kind.DELIVERED)
    one, other = tables.entries[seq][1], tables.entries[seq + 1][1]
    tables.entries[seq], tables.entries[seq + 1] = (seq, other), (seq + 1, one)
    return Attacked(tables, Damage.REORDERED, seq)


def truncate(maker: DayMaker) -> Attacked:
    tables = maker.tables.copy()
    size = len(tables.entries) - 25
    kept = cut(tables, size)
    return Attacked(Tables(kept.entries, tables.checkpoints, kept.openings), Damage.TRUNCATED, size)


def roll_back(maker: DayMaker) -> Attacked:
    """Yesterday's file: good in itself, betrayed by a head kept elsewhere alone."""
    size = last_of(maker.tables, Kind.UNLOCKED, before=len(maker.tables.entries) - 10) + 1
    gone = {
        one
        for row in maker.tables.entries[size:]
        for one in json.loads(row[1])["core"]["facts"].get("entries", [])
    }
    assert not {one for one in gone if one < size}, "an erasure since then would show as well"
    return Attacked(
        cut(maker.tables, size),
        Damage.ROLLED_BACK,
        size,
        {"heads": [maker.head()], "verifier_key": maker.verifier_key},
    )


def fork(maker: DayMaker) -> Attacked:
    """The same vault on two machines, each with its own next day; one kept a head of the other."""
    here, there = branch(maker), branch(maker)
    here.append(Kind.OFFER, {"statement": {"here": 1}})
    there.append(Kind.OFFER, {"statement": {"there": 1}})
    size = here.frontier.size
    return Attacked(here.tables, Damage.FORKED, size - 1, {"heads": [there.head()]})


def rewrite_with_the_log_key(maker: DayMaker) -> Attacked:
    """Every hash and every checkpoint made anew by whoever holds the log key: touches since signed the old root."""
    tables = maker.tables.copy()
    seq = last_of(tables, Kind.REFUSED)
    tables.entries[seq] = (seq, tables.entries[seq][1].replace(b'"Dismissed"', b'"Cancelled"'))
    signer = branch(maker)
    signer.tables = Tables()
    signer.frontier = Frontier.from_leaf_hashes(leaf_hash(leaf) for _, leaf in tables.entries[:seq])
    had = {size for size, _ in tables.checkpoints}
    for at, leaf in tables.entries[seq:]:
        signer.append_bytes(leaf, checkpoint=at + 1 in had)
    kept = [row for row in tables.checkpoints if row[0] <= seq]
    return Attacked(
        Tables(tables.entries, kept + signer.tables.checkpoints, tables.openings), Damage.WRONG_HISTORY, None
    )


def rewrite_with_another_key(maker: DayMaker) -> Attacked:
    """A good ledger of his own, from genesis on, under the same log id."""
    other = DayMaker("attacker")
    other.log = maker.log
    other.begin()
    other.live()
    return Attacked(other.tables, Damage.WRONG_VERIFIER_KEY, 0, {"verifier_key": maker.verifier_key})


def move_an_approval(maker: DayMaker) -> Attacked:
    """A touch for one statement put under another, signed by the log key."""
    other = branch(maker)
    seq = last_of(other.tables, Kind.OWNER_CHANGE, approved=True)
    approval = parse_leaf(other.tables.entries[seq][1]).approval
    return Attacked(other.tables, Damage.BAD_APPROVAL, other.append(Kind.OWNER_CHANGE, approval=approval), {})


def disclose_without_touch(maker: DayMaker) -> Attacked:
    other = branch(maker)
    return Attacked(other.tables, Damage.MISSING_APPROVAL, other.disclose(None))


def disclose_under_a_dead_grant(maker: DayMaker) -> Attacked:
    other = branch(maker)
    grant = last_of(other.tables, Kind.GRANT)
    return Attacked(other.tables, Damage.BAD_GRANT, other.disclose(None, {"grant": grant}))


def turn_back_time(maker: DayMaker) -> Attacked:
    other = branch(maker)
    other.now_ms -= 3_600_000
    return Attacked(other.tables, Damage.TIME_BACKWARDS, other.append(Kind.OFFER, {"statement": {"v": 1}}))


def change_an_opening(maker: DayMaker) -> Attacked:
    tables = maker.tables.copy()
    seq, wrapped, cipher = tables.openings[-1]
    tables.openings[-1] = (seq, wrapped, cipher[:-1] + bytes([cipher[-1] ^ 1]))
    return Attacked(tables, Damage.BAD_OPENING, seq)


def drop_an_opening(maker: DayMaker) -> Attacked:
    tables = maker.tables.copy()
    seq, _, _ = tables.openings.pop(len(tables.openings) // 2)
    return Attacked(tables, Damage.MISSING_OPENING, seq)


def drop_a_checkpoint(maker: DayMaker) -> Attacked:
    tables = maker.tables.copy()
    seq = last_of(tables, Kind.DISCLOSURE)
    tables.checkpoints = [row for row in tables.checkpoints if row[0] != seq + 1]
    return Attacked(tables, Damage.MISSING_CHECKPOINT, seq)


def forge_a_checkpoint(maker: DayMaker) -> Attacked:
    tables = maker.tables.copy()
    size, note = tables.checkpoints[-2]
    tables.checkpoints[-2] = (size, note[:-10] + (b"A" if note[-10:-9] != b"A" else b"B") + note[-9:])
    return Attacked(tables, Damage.BAD_CHECKPOINT, size - 1)


def lie_about_an_erasure(maker: DayMaker) -> Attacked:
    other = branch(maker)
    seq = other.tables.openings[0][0]
    return Attacked(
        other.tables,
        Damage.BAD_ERASURE,
        other.append(Kind.ERASED, facts={"entries": [seq]}, token=other.first),
    )


def deliver_twice(maker: DayMaker) -> Attacked:
    other = branch(maker)
    seq = last_of(other.tables, Kind.DISCLOSURE)
    return Attacked(other.tables, Damage.BAD_DELIVERY, other.append(Kind.DELIVERED, facts={"entry": seq}))


def another_logs_entry(maker: DayMaker) -> Attacked:
    other = branch(maker)
    other.log = "0" * 32
    core = other.core(Kind.OFFER)
    other.log = maker.log
    return Attacked(other.tables, Damage.WRONG_LOG, other.append(Kind.OFFER, core=core))


def not_a_leaf(maker: DayMaker) -> Attacked:
    other = branch(maker)
    return Attacked(
        other.tables, Damage.NOT_CANONICAL, other.append_bytes(maker.tables.entries[-1][1] + b" ")
    )


def rotate_back(maker: DayMaker) -> Attacked:
    other = branch(maker)
    return Attacked(other.tables, Damage.BAD_ROTATION, other.rotate(other.seed, by=other.first))


ATTACKS: Mapping[str, Attack] = {
    attack.__name__: attack
    for attack in (
        edit,
        edit_an_approved_act,
        delete,
        delete_and_close_the_gap,
        insert,
        reorder,
        truncate,
        roll_back,
        fork,
        rewrite_with_the_log_key,
        rewrite_with_another_key,
        move_an_approval,
        disclose_without_touch,
        disclose_under_a_dead_grant,
        turn_back_time,
        change_an_opening,
        drop_an_opening,
        drop_a_checkpoint,
        forge_a_checkpoint,
        lie_about_an_erasure,
        deliver_twice,
        another_logs_entry,
        not_a_leaf,
        rotate_back,
    )
}

__all__ = ["ATTACKS", "Attack", "Attacked", "branch", "cut"]
