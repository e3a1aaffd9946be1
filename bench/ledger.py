"""Row 6: verifying a ledger against bare hashing and bare signatures; appending and loading as it grows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Final

from tests.rigs.ledgers import LedgerMaker, Tables, TestToken

from bench.floors import hash_file, hash_leaves, verifications
from bench.measure import Row, Scale, medians, note, timed, timed_async
from bench.rig import Bench, bench
from ownerd.core.journal import Journal
from ownerd.core.ports import Batch, EntryRow
from ownerd.ledger.verify import verify_ledger
from ownerd.model.names import Kind

VERIFY_AGAINST: Final = (
    "SHA-256 of the same bytes and the same number of Ed25519 and ES256 verifications, bare"
)
CHUNK: Final = 1000


def rows(scale: Scale) -> Iterator[Row]:
    """Verify two sizes; append to and load a ledger a hundred times as long as another."""
    for name, entries in (("verify-1k", scale.pick(1000, 60)), ("verify-10k", scale.pick(10_000, 200))):
        note(f"{name}: making a ledger of {entries} entries")
        yield _verify(name, _tables(entries), scale.rounds(3))
    yield from _growth(scale)


def _tables(entries: int) -> Tables:
    """A ledger of disclosures and their deliveries, in memory."""
    maker, token = LedgerMaker("bench"), TestToken()
    maker.set_up(token)
    while len(maker.tables.entries) < entries:
        maker.append(Kind.DELIVERED, facts={"entry": maker.disclose(token)})
    return maker.tables


def _verify(name: str, tables: Tables, rounds: int) -> Row:
    count = len(tables.entries)
    ciphertexts = [(seq, ciphertext) for seq, _, ciphertext in tables.openings]
    report = verify_ledger(tables.entries, tables.checkpoints, ciphertexts)
    assert report.ok, report.findings
    signatures = verifications(report.checkpoints, report.approvals)
    found = medians(
        {
            "ours": lambda: timed(lambda: verify_ledger(tables.entries, tables.checkpoints, ciphertexts)),
            "hashing": lambda: timed(lambda: _hash(tables)),
            "signatures": lambda: timed(signatures),
        },
        rounds,
        warm_up=1,
    )
    each = {key: seconds / count for key, seconds in found.items()}
    floor = each["hashing"] + each["signatures"]
    more = {**each, "entries": float(count), "entries_per_second": count / found["ours"]}
    return Row(name, f"verify one of {count} entries", VERIFY_AGAINST, each["ours"], floor, more=more)


def _hash(tables: Tables) -> None:
    """Every byte once, and as many inner nodes as there are leaves."""
    hash_leaves(leaf for _, leaf in tables.entries)
    for _, _, ciphertext in tables.openings:
        hashlib.sha256(ciphertext).digest()


def _growth(scale: Scale) -> Iterator[Row]:
    """Append to three lengths, which should not matter; load the second. A quick run leaves the longest out."""
    sizes = [("1k", scale.pick(1000, 200)), ("100k", scale.pick(100_000, 2000))]
    if not scale.quick:
        sizes.append(("1m", 1_000_000))
    with ExitStack() as stack:
        made, journals = {}, {}
        for name, size in sizes:
            note(f"making a database of {size} entries")
            made[name] = stack.enter_context(bench())
            journals[name] = made[name].run(grow(made[name], size))
        found = medians({name: _appending(made[name], journals[name]) for name in made}, scale.rounds(200))
        few = sizes[0][1]
        for name, size in sizes[1:]:
            what = f"append to a ledger of {size} entries"
            yield Row(f"append-{name}", what, f"append to one of {few}", found[name], found["1k"])
        long = made["100k"]
        path = long.directory / "data" / "ownerd.db"
        loaded = medians(
            {
                "ours": lambda: long.run(timed_async(lambda: _load(long))),
                "floor": lambda: timed(lambda: hash_file(path)),
            },
            scale.rounds(5),
            warm_up=1,
        )
        against = "bare SELECT and SHA-256 of every leaf and node"
        yield Row("load-100k", f"start on {sizes[1][1]} entries", against, loaded["ours"], loaded["floor"])


def _appending(made: Bench, journal: Journal) -> Callable[[], float]:
    return lambda: made.run(timed_async(lambda: _append(journal)))


async def _append(journal: Journal) -> None:
    await journal.append(journal.draft(Kind.DELIVERED, {}, {"entry": 3}))


async def _load(made: Bench) -> Journal:
    return await Journal.load(made.store, made.core.clock, made.core.session.rng)


async def grow(made: Bench, size: int) -> Journal:
    """Fill the database up to ``size`` entries with copies of one that differ in their nonce; load it."""
    session = made.core.session
    first = session.require_journal()
    await first.append(first.draft(Kind.DELIVERED, {}, {"entry": 3}))
    template = made.store.last.entries[-1].leaf
    mark = b'"nonce":"'
    at = template.index(mark) + len(mark)
    for start in range(first.size, size, CHUNK):
        leaves = (
            EntryRow(seq, template[:at] + b"%021dA" % seq + template[at + 22 :])
            for seq in range(start, min(start + CHUNK, size))
        )
        await made.store.commit(Batch(tuple(leaves)))
    journal, vault = await _load(made), session.require_vault()
    journal.use_keys(vault.log_key, vault.opening_key.public_key())
    return journal
