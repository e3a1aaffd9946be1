"""Backup files that somebody made, cut or put together: refused by name, nothing asked for twice, nothing lost."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
import rfc8785
from tests.rigs.core import APP, TTY, CoreRig, FakeToken, seal
from tests.rigs.provider import ProviderRig
from tests.unit.core.test_restoring import Machine, back_up, end, filled, restore

from ownerctl.backup import read_backup
from ownerd.core import backup_file
from ownerd.core.backup_file import MAGIC, MAX_HEADER_BYTES, PREFIX_BYTES, format_header, parse_header
from ownerd.model.errors import BackupDamaged, OwnerdError, StorageError


@pytest.fixture
def made(tmp_path: Path, provider_rig: ProviderRig) -> bytes:
    """A good backup of token A."""

    async def story() -> None:
        rig = await filled(Machine(tmp_path / "source", provider_rig, FakeToken("A")), provider_rig)
        await back_up(rig, tmp_path / "good.backup")
        await end(rig)

    asyncio.run(story())
    return (tmp_path / "good.backup").read_bytes()


def header_of(data: bytes) -> bytes:
    return data[: PREFIX_BYTES + backup_file.header_bytes(data[:PREFIX_BYTES])]


def with_header(data: bytes, **changes: object) -> bytes:
    """The same file under a changed header."""
    head = header_of(data)
    text = rfc8785.dumps({**json.loads(head[PREFIX_BYTES:]), **changes})
    return MAGIC + len(text).to_bytes(4, "big") + text + data[len(head) :]


def test_a_header_is_read_back_as_it_was_written(made: bytes) -> None:
    head = header_of(made)
    assert format_header(parse_header(head)) == head
    assert len(made) == len(head) + parse_header(head).sealed_bytes


def test_no_byte_of_a_header_can_change_unnoticed(made: bytes) -> None:
    """What still parses is another header, under which no chunk opens: `test_a_changed_header_opens_nothing`."""
    head = header_of(made)
    for at in range(len(head)):
        changed = bytearray(head)
        changed[at] ^= 1
        try:
            again = format_header(parse_header(bytes(changed)))
        except BackupDamaged:
            continue
        assert again == bytes(changed) != head


def test_a_header_cut_anywhere_is_damage(made: bytes) -> None:
    head = header_of(made)
    for length in range(len(head)):
        with pytest.raises(BackupDamaged):
            parse_header(head[:length])
    with pytest.raises(BackupDamaged):
        parse_header(head + b" ")


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"bytes": 0},
        {"bytes": -1},
        {"bytes": 1 << 41},
        {"bytes": 1.5},
        {"bytes": "8192"},
        {"ways": []},
        {"ways": [{}]},
        {"ways": ["x"]},
        {"ways": {}},
        {"recovery": {}},
        {"recovery": "code"},
        {"made": "yesterday"},
        {"checkpoint": "ownerd/x\n"},
        {"checkpoint": 7},
        {"more": 1},
    ],
)
def test_a_header_of_another_form_is_damage(made: bytes, changes: dict[str, object]) -> None:
    with pytest.raises(BackupDamaged):
        parse_header(header_of(with_header(made, **changes)))


def test_duplicate_members_and_other_spellings_are_damage(made: bytes) -> None:
    text = header_of(made)[PREFIX_BYTES:]
    for bad in (b'{"v":1,' + text[1:], text.replace(b'"v":1', b'"v": 1'), text.replace(b'"v":1', b'"v":1.0')):
        assert bad != text
        with pytest.raises(BackupDamaged):
            parse_header(MAGIC + len(bad).to_bytes(4, "big") + bad)


def test_a_token_that_stands_there_twice_is_damage(made: bytes) -> None:
    (way,) = json.loads(header_of(made)[PREFIX_BYTES:])["ways"]
    with pytest.raises(BackupDamaged):
        parse_header(header_of(with_header(made, ways=[way, way])))
    with pytest.raises(BackupDamaged):
        parse_header(header_of(with_header(made, ways=[{**way, "name": 7}])))


def test_a_hostile_length_is_not_read(tmp_path: Path) -> None:
    for length in (0, MAX_HEADER_BYTES + 1, 0xFFFFFFFF):
        with pytest.raises(BackupDamaged):
            backup_file.header_bytes(MAGIC + length.to_bytes(4, "big"))
        (tmp_path / "b").write_bytes(MAGIC + length.to_bytes(4, "big") + b"{}")
        with pytest.raises(BackupDamaged):
            read_backup(tmp_path / "b", None)


async def refused(rig: CoreRig, path: Path) -> OwnerdError:
    with pytest.raises(StorageError) as caught:
        await rig.agent.change(APP, seal(rig, change="restore", file=str(path)), rig.job(TTY))
    assert not rig.ended
    return caught.value


def test_what_is_no_file_or_has_another_length_is_refused_before_anybody_is_asked(
    tmp_path: Path, made: bytes, provider_rig: ProviderRig
) -> None:
    async def story() -> None:
        rig = await Machine(tmp_path / "two", provider_rig, FakeToken("A")).start()
        (tmp_path / "directory").mkdir()
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "endless").symlink_to("/dev/zero")
        (tmp_path / "loop").symlink_to(tmp_path / "loop")
        (tmp_path / "empty").touch()
        (tmp_path / "cut").write_bytes(made[:-1])
        (tmp_path / "chunk-less").write_bytes(header_of(made))
        (tmp_path / "longer").write_bytes(made + b"\0")
        (tmp_path / "bomb").write_bytes(with_header(made, bytes=1 << 40))
        for name in (
            "directory",
            "pipe",
            "endless",
            "loop",
            "empty",
            "cut",
            "chunk-less",
            "longer",
            "bomb",
            "none",
        ):
            assert isinstance(await refused(rig, tmp_path / name), BackupDamaged), name
        assert rig.owner.shown == []
        assert rig.tokens.tokens[0].asked == []
        await rig.store.close()

    asyncio.run(story())


def test_a_changed_header_opens_nothing(tmp_path: Path, provider_rig: ProviderRig) -> None:
    """Another header over the same chunks, a header of another backup, a slot of another token."""

    async def story() -> None:
        token = FakeToken("A")
        rig = await filled(Machine(tmp_path / "one", provider_rig, token), provider_rig)
        await back_up(rig, tmp_path / "first")
        await back_up(rig, tmp_path / "second")
        await end(rig)
        first, second = ((tmp_path / name).read_bytes() for name in ("first", "second"))
        assert len(first) == len(second)
        (way,) = json.loads(header_of(second)[PREFIX_BYTES:])["ways"]
        (own,) = json.loads(header_of(first)[PREFIX_BYTES:])["ways"]
        cases = {
            "header of the other": header_of(second) + first[len(header_of(first)) :],
            "key of the other": with_header(first, ways=[way]),
            "a trifle of the same length": with_header(first, ways=[{**own, "since": own["since"] + 1}]),
            "another time": with_header(first, made="2020-01-01T00:00:00.000Z"),
            "no recovery": with_header(first, recovery={"public": "A" * 43, "content_key": "A" * 107}),
        }
        machine = Machine(tmp_path / "two", provider_rig, token)
        rig = await machine.start()
        for name, data in cases.items():
            (tmp_path / "case").write_bytes(data)
            assert isinstance(await refused(rig, tmp_path / "case"), BackupDamaged), name
        assert machine.files() == {}
        await restore(rig, tmp_path / "first")
        assert machine.verify().findings == ()

    asyncio.run(story())


def test_a_backup_of_a_database_that_is_no_ledger_is_refused(
    tmp_path: Path, provider_rig: ProviderRig
) -> None:
    """Whoever knows a token's public slot key can seal to it: what opens is judged like any vault."""

    async def story() -> None:
        token = FakeToken("A")
        rig = await filled(Machine(tmp_path / "one", provider_rig, token), provider_rig)
        slots = list(rig.session.vault.keyslots.values())
        await back_up(rig, tmp_path / "good")
        _, note = await rig.store.checkpoint()
        await end(rig)
        good = parse_header(header_of((tmp_path / "good").read_bytes()))
        machine = Machine(tmp_path / "two", provider_rig, token)
        rig = await machine.start()
        source = (tmp_path / "one" / "ownerd" / "ownerd.db").read_bytes()
        for plain in (b"not a database" * 700, b"SQLite format 3\0" + bytes(8176), b"x", source):
            key = backup_file.Secret(os.urandom(32))
            header = backup_file.make_header(
                good.made, note, len(plain), key, map(backup_file.without_names, slots), None
            )
            chunks = [plain[at : at + (1 << 20)] for at in range(0, len(plain), 1 << 20)]
            (tmp_path / "forged").write_bytes(b"".join(backup_file.seal_chunks(header, key, chunks)))
            # The last one is the real database, grown by an entry since: not the tree that was signed.
            with pytest.raises(OwnerdError):
                await rig.agent.change(
                    APP, seal(rig, change="restore", file=str(tmp_path / "forged")), rig.job(TTY)
                )
            assert not rig.ended
            assert machine.files() == {}
        await rig.store.close()

    asyncio.run(story())


def test_the_tools_own_reader_agrees(tmp_path: Path, made: bytes) -> None:
    path = tmp_path / "good.backup"
    found = read_backup(path, None)
    header = parse_header(header_of(made))
    assert (found["log"], found["entries"], found["bytes"]) == (
        header.log_id,
        header.signed.size,
        header.size,
    )
    for bad in (made[:-1], made + b"x", made[:30], with_header(made, bytes=1), b"PK\3\4" + made):
        path.write_bytes(bad)
        with pytest.raises(BackupDamaged):
            read_backup(path, None)
