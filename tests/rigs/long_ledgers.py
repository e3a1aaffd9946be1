"""Long ledgers of every kind of entry, as many entries as asked: for tests at two thousand, for figures at a million.

`DayMaker` writes days of one owner's life over and over. Signatures are real; ciphertexts of openings are random bytes
(verification sees their hash alone), but for every `REAL_EVERY`-th entry, so that proofs have something to open.
`write_long_ledger` streams them into an SQLite file with flat memory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from tests.rigs.ledgers import SCHEMA, LedgerMaker, TestCard, TestRecovery, TestToken

from ownerd.ledger.entry import LeafCore
from ownerd.ledger.opening import OpeningValue, SealedOpening, seal_opening
from ownerd.model.names import Kind

REAL_EVERY = 50
ROTATE_EVERY = 40  # days
CHUNK = 2000


class QuickToken(TestToken):
    """A token whose signatures are not the same at every run, which takes half the time."""

    def __init__(self, name: str = "token-1", *, user_verification: bool = False) -> None:
        super().__init__(name, user_verification=user_verification)
        self._sign = self.key.sign
        self.key = self

    def sign(self, data: bytes, _algorithm: object) -> bytes:
        return self._sign(data, ec.ECDSA(hashes.SHA256()))


class DayMaker(LedgerMaker):
    """Writes day after day, 60 entries each, with every kind that the format has."""

    def __init__(self, seed: str = "long") -> None:
        super().__init__(seed)
        self.seed = seed
        self.first = QuickToken("token-1")
        self.second = QuickToken("token-2", user_verification=True)
        self.card = TestCard("card-1")
        self.code = TestRecovery()
        self.day = 0

    def seal(self, values: dict[str, OpeningValue], core: LeafCore) -> SealedOpening:
        if self.frontier.size % REAL_EVERY < 2:
            return seal_opening(values, core, self.opening_key.public_key(), self.rng)
        return SealedOpening(self.rng(80), self.rng(300))

    def begin(self) -> None:
        self.set_up(self.first)
        self.enrol(self.second, by=self.first)
        self.set_recovery(self.code, by=self.first)

    def live(self) -> None:
        """One day: about 60 entries, vault open at its end."""
        token = self.first if self.day % 2 else self.second
        self.day += 1
        self._morning(token)
        grant = self.grant(token, count=20, per_hour=10)
        for _ in range(4):
            self._exchange(token, {"grant": grant})
            self._exchange(token, None)
        self.append(Kind.GRANT_ENDED, facts={"grant": grant})
        self._enrolments(token)
        self._erase(token)
        self._night(token)

    def _morning(self, token: TestToken) -> None:
        self.append(Kind.OWNER_CHANGE, {"claim/0": ["email", "a@b.example"]}, token=token)
        self.append(Kind.OWNER_READ, {"statement": {"v": 1}}, token=token)
        self.append(Kind.PROVIDER_PINNED, {"provider": "decentralized_identifier:did:jwk:e"}, token=token)
        self.append(Kind.OFFER, {"statement": {"round": 1}})
        self.append(Kind.REFUSED, {"error": "said no"}, {"error": "Dismissed"})
        self.append(Kind.ANCHORED)
        if self.day % ROTATE_EVERY == 2:
            self.rotate(f"restored {self.day}", by=token, kind=Kind.RESTORED)

    def _exchange(self, token: TestToken, facts: dict[str, int] | None) -> None:
        self.append(Kind.REQUEST, {"provider": "shop.example", "app": "browser"})
        seq = self.disclose(None if facts else token, facts)
        self.append(Kind.DELIVERED, facts={"entry": seq})
        self.receipt(seq)

    def _enrolments(self, token: TestToken) -> None:
        self.enrol(self.card, by=token)
        self.append(Kind.OWNER_CHANGE, {"claim/0": ["birthdate", "1990-01-01"]}, token=self.card)
        self.append(Kind.TOKEN_REMOVED, facts={"token": "card-1"}, token=token)
        self.append(Kind.KEY_ROTATED, token=token)
        if self.day % ROTATE_EVERY == 1:
            self.rotate(f"day {self.day}", by=token)
            self.rotate(f"day {self.day} restored", by=token, kind=Kind.RESTORED)

    def _erase(self, token: TestToken) -> None:
        gone = [row[0] for row in self.tables.openings[-3:]]
        del self.tables.openings[-3:]
        self.append(Kind.ERASED, facts={"entries": gone}, token=token)

    def _night(self, token: TestToken) -> None:
        self.append(Kind.LOCKED, facts={"reason": "suspend"}, checkpoint=False)
        self.append(Kind.REQUEST, {"app": "mail"}, checkpoint=False)
        self.append(Kind.FAILED, {"error": "no token"}, {"error": "TokenMissing"}, checkpoint=False)
        self.append(Kind.UNLOCKED, token=self.code if self.day % 10 == 0 else token)


def long_ledger(
    entries: int, seed: str = "long", *, each_day: Callable[[DayMaker], None] | None = None
) -> DayMaker:
    """A ledger of at least ``entries`` entries, up to the end of its last day."""
    maker = DayMaker(seed)
    maker.begin()
    while maker.frontier.size < entries:
        maker.live()
        if each_day is not None:
            each_day(maker)
    return maker


def write_long_ledger(path: Path, entries: int, seed: str = "long") -> int:
    """Write the SQLite file of a `long_ledger`, with flat memory; its number of entries."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(SCHEMA)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=OFF")

    def write(maker: DayMaker, *, least: int = CHUNK) -> None:
        tables = maker.tables
        if len(tables.entries) < least:
            return
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO entry VALUES (?, ?)", tables.entries)
        connection.executemany("INSERT INTO checkpoint VALUES (?, ?)", tables.checkpoints)
        connection.executemany("INSERT INTO opening VALUES (?, ?, ?)", tables.openings)
        connection.execute("COMMIT")
        for rows in (tables.entries, tables.checkpoints, tables.openings):
            rows.clear()

    maker = long_ledger(entries, seed, each_day=write)
    write(maker, least=1)
    connection.close()
    return maker.frontier.size


__all__ = ["DayMaker", "long_ledger", "write_long_ledger"]
