"""Backup and restore: everything comes back under new keys, with an entry of its own; nothing is lost on the way."""

import asyncio
import json
import os
import time
from pathlib import Path

import pytest
from tests.rigs.core import APP, TTY, CoreRig, FakeToken, MemoryHeads, make_core, seal, set_up
from tests.rigs.core import TOOL as TOOL_KEY
from tests.rigs.provider import ProviderRig
from tests.unit.core.test_recovery import Paper

from ownerctl.ledger_file import open_ledger
from ownerd.core import backup_file
from ownerd.credential.jwe import open_jwe
from ownerd.ledger.verify import Report, verify_ledger
from ownerd.model.errors import (
    BackupDamaged,
    Dismissed,
    Forked,
    InvalidArgument,
    NotAllowed,
    NotFound,
    RolledBack,
    TokenMissing,
    UnsafeFile,
)
from ownerd.storage.backups import BackupFiles
from ownerd.storage.store import SqliteStore


class Machine:
    """One data directory, and the tokens that the owner has there."""

    def __init__(self, directory: Path, provider_rig: ProviderRig, *tokens: FakeToken) -> None:
        self.database = directory / "ownerd" / "ownerd.db"
        self.tokens = tokens
        self._anchors = provider_rig.anchors
        self.heads = MemoryHeads()

    async def start(self) -> CoreRig:
        store = SqliteStore.open(self.database)
        rig = make_core(store, *self.tokens, anchors=self._anchors, heads=self.heads)
        rig.session.backups = BackupFiles(store, self.database)
        rig.clock.time = time.time_ns() // 1_000_000
        await rig.agent.start()
        return rig

    def verify(self, *heads: bytes) -> Report:
        with open_ledger(self.database) as found:
            return verify_ledger(found.entries(), found.checkpoints(), found.openings(), heads=heads)

    def files(self) -> dict[str, bytes]:
        root = self.database.parent
        return {
            str(path.relative_to(root)): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file() and not path.name.endswith((".lock", "-shm"))
        }


async def back_up(rig: CoreRig, path: Path) -> dict:
    answer = await rig.agent.change(APP, seal(rig, change="backup", file=str(path)), rig.job(TTY))
    return json.loads(open_jwe(answer, TOOL_KEY))


async def restore(rig: CoreRig, path: Path, **more: object) -> dict:
    answer = await rig.agent.change(APP, seal(rig, change="restore", file=str(path), **more), rig.job(TTY))
    await rig.agent._ending
    return json.loads(open_jwe(answer, TOOL_KEY))


async def end(rig: CoreRig) -> None:
    rig.agent.lock("test")
    await rig.agent._ending


async def filled(machine: Machine, provider_rig: ProviderRig) -> CoreRig:
    rig = await machine.start()
    await set_up(rig, given_name="Ada", email="ada@example.org")
    await rig.agent.present(APP, provider_rig.signed(), rig.job(TTY))
    return rig


def test_a_backup_comes_back_on_an_empty_machine_and_discloses_again(tmp_path, provider_rig: ProviderRig):
    async def story() -> None:
        token, path = FakeToken("A"), tmp_path / "my.backup"
        first = Machine(tmp_path / "one", provider_rig, token)
        rig = await filled(first, provider_rig)
        made = await back_up(rig, path)
        assert made["bytes"] == path.stat().st_size
        assert path.stat().st_mode & 0o777 == 0o600
        assert made["entries"] == made["entry"] + 1
        await end(rig)

        second = Machine(tmp_path / "two", provider_rig, token)
        rig = await second.start()
        answer = await restore(rig, path)
        assert answer == {
            "entry": made["entries"],
            "verifier_key": second.verify().verifier_key,
            "others": [],
            "replaced": False,
            "size": made["entries"],
        }
        assert rig.ended
        rig = await second.start()
        await rig.agent.unlock(APP, rig.job(TTY))
        vault = rig.session.vault
        assert vault.claims["given_name"].value == "Ada"
        assert vault.generation == 2
        (provider,) = vault.providers.values()
        await rig.agent.present(APP, provider_rig.signed(), rig.job(TTY))
        assert next(iter(rig.session.vault.providers.values())).did == provider.did
        await end(rig)
        report = second.verify()
        assert report.findings == ()
        assert report.rotations == 1
        assert first.verify().verifier_key != report.verifier_key

    asyncio.run(story())


def test_the_backup_shows_no_value_and_no_name_of_a_token(tmp_path, provider_rig: ProviderRig):
    async def story() -> None:
        machine = Machine(tmp_path / "one", provider_rig, FakeToken("A"))
        rig = await filled(machine, provider_rig)
        (keyslot,) = rig.session.vault.keyslots
        await rig.agent.change(
            APP, seal(rig, change="token-name", id=keyslot, name="Ada's own"), rig.job(TTY)
        )
        await back_up(rig, tmp_path / "b")
        raw = (tmp_path / "b").read_bytes()
        for canary in (b"Ada's own", b"ada@example.org", b"bookshop", b"CREATE TABLE", b"owner-change"):
            assert canary not in raw
        await end(rig)

    asyncio.run(story())


def test_a_vault_is_replaced_only_when_that_is_said_and_is_kept_aside(tmp_path, provider_rig: ProviderRig):
    async def story() -> None:
        path = tmp_path / "b"
        machine = Machine(tmp_path / "one", provider_rig, FakeToken("A"))
        rig = await filled(machine, provider_rig)
        await back_up(rig, path)
        for value in ("Countess", "Lovelace"):
            claims = [{"name": "nickname", "value": value, "source": "test"}]
            await rig.agent.change(APP, seal(rig, change="set", claims=claims), rig.job(TTY))
        _, newer = await rig.store.checkpoint()
        with pytest.raises(NotAllowed, match="open"):
            await rig.agent.change(
                APP, seal(rig, change="restore", file=str(path), replace=True), rig.job(TTY)
            )
        await end(rig)
        before = machine.files()
        rig = await machine.start()
        with pytest.raises(NotAllowed, match="already"):
            await restore(rig, path)
        answer = await restore(rig, path, replace=True)
        assert answer["replaced"]
        assert "no longer in your ledger" in rig.owner.shown[-1]
        after = machine.files()
        (aside,) = [name for name in after if name.startswith("replaced-") and name.endswith(".db")]
        assert len(after[aside]) >= len(before["ownerd.db"])
        report = machine.verify(newer)
        assert [one.name.value for one in report.findings] in (["RolledBack"], ["Forked"])
        assert machine.verify().findings == ()
        rig = await machine.start()
        await rig.agent.unlock(APP, rig.job(TTY))
        assert "nickname" not in rig.session.vault.claims
        await end(rig)

    asyncio.run(story())


def test_a_refused_or_failed_restore_leaves_everything_as_it_was(tmp_path, provider_rig: ProviderRig):
    async def story() -> None:
        path, token = tmp_path / "b", FakeToken("A")
        machine = Machine(tmp_path / "one", provider_rig, token)
        rig = await filled(machine, provider_rig)
        await back_up(rig, path)
        await end(rig)
        before = machine.verify()
        for spoil, error in (("refuse", Dismissed), ("token", TokenMissing), ("chunk", BackupDamaged)):
            rig = await machine.start()
            bad = tmp_path / spoil
            data = bytearray(path.read_bytes())
            if spoil == "refuse":
                rig.owner.decision = False
            elif spoil == "token":
                rig.tokens.tokens = [FakeToken("A")]
            else:
                data[-1] ^= 1
            bad.write_bytes(data)
            with pytest.raises(error):
                await rig.agent.change(
                    APP, seal(rig, change="restore", file=str(bad), replace=True), rig.job(TTY)
                )
            assert not rig.ended
            await rig.store.close()
            assert not (machine.database.parent / "restoring").exists()
            assert machine.verify().findings == ()
            assert machine.verify().entries >= before.entries
        rig = await machine.start()
        await rig.agent.unlock(APP, rig.job(TTY))
        assert rig.session.vault.claims["given_name"].value == "Ada"
        await end(rig)

    asyncio.run(story())


def test_the_recovery_code_restores_by_enrolling_a_token(tmp_path, provider_rig: ProviderRig):
    async def story() -> None:
        path = tmp_path / "b"
        rig = await filled(Machine(tmp_path / "one", provider_rig, FakeToken("A")), provider_rig)
        paper = Paper(rig)
        await rig.agent.change(APP, seal(rig, change="recovery-set"), rig.job(TTY))
        await rig.agent.present(APP, provider_rig.signed(), rig.job(TTY))  # its key is copied for the code
        await back_up(rig, path)
        await end(rig)
        second = Machine(tmp_path / "two", provider_rig, FakeToken("B"))
        for wrong in (True, False):
            rig = await second.start()
            typed = Paper(rig)
            typed.code = "0000-0000-0000-0000-0000-0000-00" if wrong else paper.code
            if wrong:
                with pytest.raises((NotAllowed, InvalidArgument)):
                    await restore(rig, path, token="B", user_verification=False)
                await rig.store.close()
                assert not second.database.exists()
                continue
            answer = await restore(rig, path, token="B", user_verification=False)
        rig = await second.start()
        await rig.agent.unlock(APP, rig.job(TTY))
        assert answer["token"]["id"] in rig.session.vault.keyslots
        assert rig.session.vault.claims["given_name"].value == "Ada"
        await rig.agent.present(APP, provider_rig.signed(), rig.job(TTY))
        await end(rig)
        assert second.verify().findings == ()

    asyncio.run(story())


def test_without_a_recovery_code_only_tokens_open_it(tmp_path, provider_rig: ProviderRig):
    async def story() -> None:
        path = tmp_path / "b"
        rig = await filled(Machine(tmp_path / "one", provider_rig, FakeToken("A")), provider_rig)
        await back_up(rig, path)
        await end(rig)
        rig = await Machine(tmp_path / "two", provider_rig, FakeToken("B")).start()
        with pytest.raises(NotFound):
            await restore(rig, path, token="B", user_verification=False)
        with pytest.raises(TokenMissing):
            await rig.agent.change(APP, seal(rig, change="restore", file=str(path)), rig.job(TTY))
        await rig.store.close()

    asyncio.run(story())


def test_a_backup_goes_nowhere_that_is_not_the_owners_or_not_free(tmp_path, provider_rig: ProviderRig):
    async def story() -> None:
        rig = await filled(Machine(tmp_path / "one", provider_rig, FakeToken("A")), provider_rig)
        (tmp_path / "there").write_text("precious")
        (tmp_path / "link").symlink_to(tmp_path / "nowhere")
        os.mkfifo(tmp_path / "pipe")
        asked = len(rig.owner.shown)
        for path in ("there", "link", "pipe", "none/such"):
            with pytest.raises(UnsafeFile):
                await back_up(rig, tmp_path / path)
        for path in ("relative", "", "/a\0b", "/" + "x" * 5000):
            with pytest.raises(InvalidArgument):
                await rig.agent.change(APP, seal(rig, change="backup", file=path), rig.job(TTY))
        assert len(rig.owner.shown) == asked
        assert (tmp_path / "there").read_text() == "precious"
        await end(rig)

    asyncio.run(story())


def test_a_chunk_more_than_one_is_sealed_and_opened(tmp_path, provider_rig: ProviderRig, monkeypatch):
    async def story() -> None:
        monkeypatch.setattr(backup_file, "CHUNK_BYTES", 4096)
        monkeypatch.setattr("ownerd.storage.backups.CHUNK_BYTES", 4096)
        token, path = FakeToken("A"), tmp_path / "b"
        rig = await filled(Machine(tmp_path / "one", provider_rig, token), provider_rig)
        await back_up(rig, path)
        await end(rig)
        second = Machine(tmp_path / "two", provider_rig, token)
        rig = await second.start()
        data = path.read_bytes()
        chunk = 4096 + 16
        for name, bad in (
            ("swapped", data[: -2 * chunk] + data[-chunk:] + data[-2 * chunk : -chunk]),
            ("doubled", data[:-chunk] + data[-2 * chunk : -chunk]),
        ):
            (tmp_path / name).write_bytes(bad)
            with pytest.raises(BackupDamaged):
                await restore(rig, tmp_path / name)
        await restore(rig, path)
        assert second.verify().findings == ()

    asyncio.run(story())


def test_a_newer_head_in_a_file_gives_way_only_when_the_owner_says_so(tmp_path, provider_rig: ProviderRig):
    async def story() -> None:
        path = tmp_path / "b"
        machine = Machine(tmp_path / "one", provider_rig, FakeToken("A"))
        rig = await filled(machine, provider_rig)
        await rig.agent.change(
            APP, seal(rig, change="anchor-add", name="file", text="/media/stick/head"), rig.job(TTY)
        )
        await back_up(rig, path)
        claims = [{"name": "nickname", "value": "newer", "source": "test"}]
        await rig.agent.change(APP, seal(rig, change="set", claims=claims), rig.job(TTY))
        await end(rig)  # which brings the newest head into the file
        rig = await machine.start()
        with pytest.raises(RolledBack):
            await rig.agent.change(
                APP, seal(rig, change="restore", file=str(path), replace=True), rig.job(TTY)
            )
        assert not rig.ended
        await restore(rig, path, replace=True, older=True)
        rig = await machine.start()
        await rig.agent.unlock(APP, rig.job(TTY))
        assert all(one.kind == "token" for one in rig.session.vault.places.values())
        await end(rig)
        assert machine.verify().findings == ()

    asyncio.run(story())


def test_another_tokens_newer_head_gives_way_by_name_and_with_a_touch(tmp_path, provider_rig: ProviderRig):
    async def story() -> None:
        first, second, path = FakeToken("A"), FakeToken("B"), tmp_path / "b"
        machine = Machine(tmp_path / "one", provider_rig, first, second)
        rig = await filled(machine, provider_rig)
        await settled_change(rig, change="token-add", token="B", user_verification=False, name="spare")
        await back_up(rig, path)
        await end(rig)
        first.plugged, second.keeps_heads = False, True
        rig = await machine.start()
        await rig.agent.unlock(APP, rig.job(TTY))
        await end(rig)
        lost = second.head
        assert lost is not None
        first.plugged, second.plugged = True, False
        rig = await machine.start()
        answer = await restore(rig, path, replace=True, older=True)
        assert [one["name"] for one in answer["others"]] == ["spare"]

        first.plugged, second.plugged = False, True
        rig = await machine.start()
        with pytest.raises((RolledBack, Forked)):
            await rig.agent.unlock(APP, rig.job(TTY))
        first.plugged = True
        second.plugged = False
        await rig.agent.unlock(APP, rig.job(TTY))
        second.plugged = True
        with pytest.raises((RolledBack, Forked)):
            await settled_change(rig, change="anchor-update", id="spare")
        for wrong in ({}, {"id": 7}):
            with pytest.raises(InvalidArgument):
                await settled_change(rig, change="anchor-update", older=True, **wrong)
        rig.owner.decision = False
        with pytest.raises(Dismissed):
            await settled_change(rig, change="anchor-update", id="spare", older=True)
        assert second.head == lost
        rig.owner.decision = True
        answer = await settled_change(rig, change="anchor-update", id="spare", older=True)
        assert answer["anchors"][0]["verdict"] == "consistent"
        with pytest.raises(NotAllowed):
            await settled_change(rig, change="anchor-update", id="spare", older=True)
        await end(rig)
        first.plugged = False
        rig = await machine.start()
        await rig.agent.unlock(APP, rig.job(TTY))
        await end(rig)
        assert machine.verify().findings == ()

    asyncio.run(story())


async def settled_change(rig: CoreRig, **members: object) -> dict:
    answer = await rig.agent.change(APP, seal(rig, **members), rig.job(TTY))
    return json.loads(open_jwe(answer, TOOL_KEY))
