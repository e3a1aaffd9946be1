"""``ownerctl witness`` and ``ledger head --proof-from`` on real files, without a daemon."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from tests.rigs.cli import Desk
from tests.rigs.ledgers import LedgerMaker, small_ledger, write_database

from ownerd.ledger.cosignature import parse_witness_key, verify_cosignature
from ownerd.model.names import Kind


class Walk:
    """An owner's ledger that grows, and a witness on another device; files are carried between them."""

    def __init__(self, home: Path) -> None:
        (home / "owner").mkdir()
        self.desk = Desk(home / "owner", "unix:path=/nonexistent")
        self.home = home
        self.dir = home / "phone"
        self.maker = small_ledger()
        self.count = 0
        ran = self.witness("init", "--name", "phone/witness", "--json")
        self.key = parse_witness_key(ran.json["verifier_key"])

    def witness(self, command: str, *arguments: str):
        return self.desk.run("witness", command, "--dir", str(self.dir), *arguments)

    def grow(self) -> None:
        self.maker.append(Kind.LOCKED, facts={"reason": "idle"})

    def carried(self, *arguments: str, maker: LedgerMaker | None = None) -> str:
        """What the owner carries over, as a file."""
        self.count += 1
        path = write_database(self.home / f"{self.count}.db", (maker or self.maker).tables)
        ran = self.desk.run("ledger", "head", "--file", str(path), *arguments)
        assert ran.code == 0, ran.err
        note = self.home / f"{self.count}.carried"
        note.write_text(ran.out)
        return str(note)

    @property
    def log(self) -> tuple[str, str]:
        return "--log", self.maker.verifier_key


@pytest.fixture
def walk(tmp_path: Path) -> Walk:
    return Walk(tmp_path)


def size(maker: LedgerMaker) -> int:
    """Entries under the newest checkpoint."""
    return max(maker.tables.checkpoints)[0]


def test_a_ledger_that_only_grew_is_cosigned_and_verifies_with_its_note(walk: Walk) -> None:
    ran = walk.witness("sign", *walk.log, walk.carried())
    assert ran.code == 0, ran.err
    before = size(walk.maker)
    assert f"cosigned {before} entries; nothing seen before" in ran.err
    walk.grow()
    walk.grow()
    now = size(walk.maker)
    ran = walk.witness("sign", walk.carried("--proof-from", str(before)))
    assert ran.code == 0, ran.err
    assert f"cosigned {now} entries; {before} entries seen before" in ran.err
    assert verify_cosignature(ran.out.encode(), walk.key) > 0
    note = walk.home / "cosigned.note"
    note.write_text(ran.out)
    path = write_database(walk.home / "whole.db", walk.maker.tables)
    checked = walk.desk.run("ledger", "verify", "--file", str(path), "--head", str(note))
    assert (checked.code, checked.out.splitlines()[0]) == (0, "result         holds")


def test_yesterdays_file_is_told_by_the_cosigned_note(walk: Walk) -> None:
    path = write_database(walk.home / "yesterday.db", walk.maker.tables)
    walk.grow()
    ran = walk.witness("sign", *walk.log, walk.carried())
    note = walk.home / "cosigned.note"
    note.write_text(ran.out)
    checked = walk.desk.run("ledger", "verify", "--file", str(path), "--head", str(note))
    assert (checked.code, "RolledBack" in checked.out) == (5, True)
    refused = walk.desk.run("ledger", "head", "--file", str(path), "--proof-from", str(size(walk.maker)))
    assert (refused.code, refused.out) == (5, "")


def test_an_older_checkpoint_and_a_fork_are_refused_and_not_remembered(walk: Walk) -> None:
    early = walk.carried()
    fork = small_ledger()
    fork.append(Kind.LOCKED, facts={"reason": "elsewhere"})
    fork.append(Kind.LOCKED, facts={"reason": "elsewhere"})
    walk.grow()
    assert walk.witness("sign", *walk.log, walk.carried()).code == 0
    seen = size(walk.maker)
    for refused in (early, walk.carried("--proof-from", str(seen), maker=fork)):
        ran = walk.witness("sign", refused)
        assert (ran.code, ran.out) == (5, "")
    walk.grow()
    ran = walk.witness("sign", walk.carried("--proof-from", str(seen)))
    assert ran.code == 0, ran.err


def test_a_new_ledger_needs_its_key_and_a_seen_one_the_right_proof(walk: Walk) -> None:
    ran = walk.witness("sign", walk.carried())
    assert (ran.code, ran.out) == (1, "")
    assert "--log" in ran.err
    assert walk.witness("sign", "--log", small_ledger("other").verifier_key, walk.carried()).code == 5
    assert walk.witness("sign", "--log", "no key", walk.carried()).code == 2
    assert walk.witness("sign", *walk.log, walk.carried()).code == 0
    before = size(walk.maker)
    walk.grow()
    ran = walk.witness("sign", walk.carried())
    assert (ran.code, ran.out) == (1, "")
    assert f"hint: ownerctl ledger head --proof-from {before}" in ran.err


def test_renewed_keys_are_followed_when_their_owner_says_so(walk: Walk) -> None:
    assert walk.witness("sign", *walk.log, walk.carried()).code == 0
    old = size(walk.maker)
    from tests.rigs.ledgers import TestToken

    walk.maker.rotate("renewed", by=TestToken())
    refused = walk.witness("sign", walk.carried("--proof-from", str(old)))
    assert refused.code == 5
    assert "--log" in refused.err
    ran = walk.witness("sign", *walk.log, walk.carried("--proof-from", str(old)))
    assert ran.code == 0, ran.err


def test_the_witness_keeps_its_key_to_itself_and_makes_it_once(walk: Walk) -> None:
    assert walk.witness("sign", *walk.log, walk.carried()).code == 0
    kept = [one for one in walk.dir.rglob("*") if one.is_file()]
    assert len(kept) == 2
    assert {stat.S_IMODE(one.stat().st_mode) for one in kept} == {0o600}
    assert {stat.S_IMODE(one.stat().st_mode) for one in (walk.dir, walk.dir / "logs")} == {0o700}
    assert walk.witness("init").code == 1
    (walk.dir / "key.json").chmod(0o644)
    assert walk.witness("key").code == 1


def test_without_a_key_and_with_garbage_it_says_so(walk: Walk, tmp_path: Path) -> None:
    ran = walk.desk.run("witness", "key", "--dir", str(tmp_path / "nowhere"))
    assert (ran.code, "witness init" in ran.err) == (1, True)
    bad = tmp_path / "bad"
    for content in (b"", b"\0\xff", b"old 1\n\nx\n", b"old 1\n" * 100_000):
        bad.write_bytes(content)
        ran = walk.witness("sign", *walk.log, str(bad))
        assert (ran.code in (1, 5), ran.out) == (True, "")
