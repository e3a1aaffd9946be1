"""Files that are missing, cut, damaged or of yesterday: the real daemon opens the vault or says why not, by name."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from fido2.ctap2 import Ctap2
from fido2.ctap2.blob import LargeBlobs
from tests.rigs.bad_days import BadWorld

from ownerctl.ledger_file import open_ledger
from ownerd.ledger.verify import verify_ledger
from ownerd.model.errors import LedgerError, RolledBack, StorageError
from ownerd.model.names import Kind
from ownerd.tokens.limit import Limit
from ownerd.tokens.softtoken_socket import find_software

pytestmark = pytest.mark.timeout(600)
ENTRIES = 8
OPENS, FRESH = "opens", "not set up"


async def _fill(world: BadWorld) -> None:
    """A vault with entries in the file and in the log, left as a kill leaves it."""
    world.start()
    await world.set_up()
    await world.set("given_name", "Ada")
    await world.grant()
    while len(world.verified()) < ENTRIES:
        await world.present(world.request())
    world.kill()


async def _outcome(world: BadWorld) -> str:
    """Start the daemon and unlock: that it opens, that nothing is set up, or the sentence that says why not."""
    world.stage.env |= world.day.env
    world.daemon = world.stage.run("ownerd", "ownerd")
    for name in world.day.env:
        del world.stage.env[name]
    deadline = time.monotonic() + 20
    while "ready, locked" not in world.daemon.text and world.daemon.process.poll() is None:
        assert time.monotonic() < deadline, "neither ready nor ended"
        await asyncio.sleep(0.01)
    if world.daemon.process.poll() is not None:
        code, text = world.daemon.wait(), world.daemon.text
        assert code in (1, 5), (code, text)
        assert "Traceback" not in text
        assert "hint: " in text
        return text.partition("ERROR: ")[2].splitlines()[0]
    try:
        async with world.client() as tool:
            (status,) = await tool.owner_call("Agent", "Status")
        if not status["set_up"]:
            return FRESH
        await world.unlock()
    except (LedgerError, StorageError) as error:
        return str(error)
    return OPENS


def _verdict(world: BadWorld) -> str:
    """What ``ownerctl ledger verify`` says: nothing, the findings, or why it cannot read the file."""
    try:
        with open_ledger(world.stage.database) as file:
            report = verify_ledger(file.entries(), file.checkpoints(), file.openings())
    except (LedgerError, StorageError) as error:
        return str(error)
    return "; ".join(str(finding) for finding in report.findings)


@contextmanager
def _large_blobs(world: BadWorld) -> Iterator[LargeBlobs]:
    """The place on the token where it keeps heads; nobody else may be talking to it."""
    (found,) = find_software(lambda: world.stage.home / "run" / "ownerd")
    with closing(found.open(Limit())) as device:
        yield LargeBlobs(Ctap2(device))


class Box:
    """The files of a filled vault, and what the token knows of it, put back before each damage."""

    def __init__(self, world: BadWorld) -> None:
        self.world = world
        world.kill()
        with _large_blobs(world) as blobs:
            self._heads = blobs.read_blob_array()
        self.directory = world.stage.database.parent
        self._kept = Path(tempfile.mkdtemp(dir=world.stage.home)) / "kept"
        shutil.copytree(self.directory, self._kept)

    def damage(self, damage: Callable[[Path, Path], object]) -> None:
        """Put the files back, and damage (database, log)."""
        self.put_back()
        damage(self.directory / "ownerd.db", self.directory / "ownerd.db-wal")

    def put_back(self) -> None:
        """The files as they were, and no daemon."""
        self.put_files_back()
        with _large_blobs(self.world) as blobs:
            blobs.write_blob_array(self._heads)

    def put_files_back(self) -> None:
        """The files alone, as a copy of before would be put in their place."""
        self.world.kill()
        shutil.rmtree(self.directory)
        shutil.copytree(self._kept, self.directory)


def _cut(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])


def test_missing_and_cut_files_are_named(bad_world: BadWorld) -> None:
    world = bad_world

    async def story() -> None:
        await _fill(world)
        box = Box(world)
        size = world.stage.database.stat().st_size
        damaged, entries = "the database file is damaged", len(world.verified())
        table: dict[str, tuple[Callable[[Path, Path], object], str, str]] = {
            "untouched": (lambda _db, _wal: None, "", OPENS),
            "no database": (
                lambda db, _wal: db.unlink(),
                "there is no database file",
                "the database file is gone, but its write-ahead log is there",
            ),
            "no file at all": (
                lambda db, wal: (db.unlink(), wal.unlink()),
                "there is no database file",
                FRESH,
            ),
            "a stump": (lambda db, wal: (_cut(db, 100), wal.unlink()), "cannot be opened", damaged),
            "half": (lambda db, wal: (_cut(db, size // 2), wal.unlink()), "cannot be opened", damaged),
            "no log": (lambda _db, wal: wal.unlink(), "", OPENS),
            "an empty log": (lambda _db, wal: _cut(wal, 0), "", OPENS),
            "a log cut short": (lambda _db, wal: _cut(wal, wal.stat().st_size - 5000), "", OPENS),
        }
        for what, (damage, verdict, outcome) in table.items():
            box.damage(damage)
            said = _verdict(world)
            assert verdict in said if verdict else not said, (what, said)
            left = len(world.verified()) if not said else 0
            assert left == entries if what == "untouched" else left < entries
            assert await _outcome(world) == outcome, what

    asyncio.run(story())


def test_flipped_bits_are_named_or_harmless(bad_world: BadWorld) -> None:
    """In the log, what follows the damage is lost; in the file it is named by the daemon, the verifier or both."""
    dice = random.Random(6)

    def flip(path: Path) -> None:
        data = bytearray(path.read_bytes())
        # Some hits where SQLite keeps its structure, the others anywhere.
        page = dice.randrange(len(data) // 4096) * 4096
        data[dice.choice([page + dice.randrange(40), dice.randrange(len(data))])] ^= 1 << dice.randrange(8)
        path.write_bytes(data)

    async def story() -> None:
        await _fill(bad_world)
        in_log, whole = Box(bad_world), bad_world.verified()
        for _ in range(5):
            in_log.damage(lambda _db, wal: flip(wal))
            assert not _verdict(bad_world)
            left = bad_world.verified()
            assert left == whole[: len(left)]
            assert await _outcome(bad_world) == OPENS
        in_log.put_back()
        bad_world.start()
        await bad_world.unlock()
        await bad_world.end()
        in_file, whole, named = Box(bad_world), bad_world.verified(), 0
        for _ in range(20):
            in_file.damage(lambda db, _wal: flip(db))
            verdict = _verdict(bad_world)
            outcome = await _outcome(bad_world) if not verdict or dice.random() < 0.3 else verdict
            named += outcome != OPENS
            if not verdict and outcome == OPENS:
                bad_world.kill()
                assert bad_world.verified()[: len(whole)] == whole
        assert named > 3

    asyncio.run(story())


@pytest.mark.parametrize("in_file", [False, True], ids=["head on the token", "head in a file"])
def test_a_database_of_yesterday_stays_closed(bad_world: BadWorld, in_file: bool) -> None:
    """Both heads are written without being asked: the token's at unlock, the file's also when it locks."""
    world = bad_world
    head = world.stage.home / "ownerd.head"

    async def story() -> None:
        world.start()
        await world.set_up()
        await world.set("given_name", "Ada")
        if in_file:
            await world.sealed("Data", "Change", {"change": "anchor-add", "name": "file", "text": str(head)})
        await world.grant()
        await world.end()
        yesterday = Box(world)
        world.start()
        await world.unlock()
        for _ in range(3):
            await world.present(world.request())
        await world.end()
        today = len(world.verified())
        yesterday.put_files_back()
        entries = len(world.verified())
        assert entries < today
        world.start()
        with pytest.raises(RolledBack, match="older copy of the ledger") as caught:
            await world.unlock()
        if in_file:
            assert str(caught.value).startswith(f"the head file signed {today} entries")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(world.present(world.request()), 0.5)
        assert {leaf.core.kind for leaf in world.verified()[entries:]} == {Kind.FAILED}

    asyncio.run(story())
