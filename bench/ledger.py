"""Row 6: verifying a ledger against bare hashing and bare signatures; appending and loading as it grows."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.rigs.ledgers import LedgerMaker, Tables, TestToken

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
    signatures = _signatures(report.checkpoints, report.approvals)
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
    for _, leaf in tables.entries:
        digest = hashlib.sha256(b"\0" + leaf).digest()
        hashlib.sha256(b"\1" + digest + digest).digest()
    for _, _, ciphertext in tables.openings:
        hashlib.sha256(ciphertext).digest()


def _signatures(checkpoints: int, approvals: int) -> Callable[[], None]:
    text = bytes(200)
    log, token = Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())
    log_signature, token_signature = log.sign(text), token.sign(text, ec.ECDSA(hashes.SHA256()))
    log_key, token_key = log.public_key(), token.public_key()

    def verify() -> None:
        for _ in range(checkpoints):
            log_key.verify(log_signature, text)
        for _ in range(approvals):
            token_key.verify(token_signature, text, ec.ECDSA(hashes.SHA256()))

    return verify


def _growth(scale: Scale) -> Iterator[Row]:
    few, many = scale.pick(1000, 200), scale.pick(100_000, 2000)
    with ExitStack() as stack:
        short, long = stack.enter_context(bench()), stack.enter_context(bench())
        note(f"making a database of {many} entries")
        journals = [short.run(grow(short, few)), long.run(grow(long, many))]
        found = medians(
            {
                "short": lambda: short.run(timed_async(lambda: _append(journals[0]))),
                "long": lambda: long.run(timed_async(lambda: _append(journals[1]))),
            },
            scale.rounds(200),
        )
        what = f"append to a ledger of {many} entries"
        yield Row("append-100k", what, f"append to one of {few}", found["long"], found["short"])
        path = long.directory / "data" / "ownerd.db"
        loaded = medians(
            {
                "ours": lambda: long.run(timed_async(lambda: _load(long))),
                "floor": lambda: timed(lambda: _read(path)),
            },
            scale.rounds(5),
            warm_up=1,
        )
        against = "bare SELECT and SHA-256 of every leaf and node"
        yield Row("load-100k", f"start on {many} entries", against, loaded["ours"], loaded["floor"])


async def _append(journal: Journal) -> None:
    await journal.append(journal.draft(Kind.DELIVERED, {}, {"entry": 3}))


async def _load(made: Bench) -> Journal:
    return await Journal.load(made.store, made.core.clock, made.core.session.rng)


def _read(path: Path) -> None:
    """What a start on a ledger cannot do without."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        for (leaf,) in connection.execute("SELECT leaf FROM entry ORDER BY seq"):
            digest = hashlib.sha256(b"\0" + leaf).digest()
            hashlib.sha256(b"\1" + digest + digest).digest()
    finally:
        connection.close()


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
