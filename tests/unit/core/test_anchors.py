"""Heads kept elsewhere: what unlock demands of each, and what is written where."""

from __future__ import annotations

import pytest
from tests.rigs.anchors import PATH, Desk, anchors, change, lock, note_something, settle, story
from tests.rigs.core import APP, CoreRig, kinds, verify

from ownerd.ledger.note import parse_checkpoint, parse_note
from ownerd.model.errors import BadHead, Busy, Forked, NotAllowed, OwnerdError, RolledBack, StorageError


def size_of(note: bytes | None) -> int:
    assert note is not None
    return parse_checkpoint(parse_note(note).text).size


async def refused(desk: Desk, error: type[OwnerdError]) -> CoreRig:
    """Unlock must fail with ``error``: recorded, closed, nothing opened."""
    rig = desk.start()
    await rig.agent.start()
    with pytest.raises(error) as caught:
        await rig.agent.unlock(APP, rig.job())
    assert caught.value.exit_code == 5
    assert rig.session.vault is None
    assert not rig.session.unlocked.is_set()
    assert kinds(rig)[-1] == "failed"
    return rig


async def with_file(**options: bool) -> tuple[Desk, CoreRig]:
    desk = Desk(**options)
    rig = await desk.set_up()
    added = await change(rig, change="anchor-add", name="file", text=PATH)
    assert added["size"] == size_of(desk.heads.files[PATH]) == len(rig.store.entries)
    return desk, rig


def test_a_file_has_the_newest_head_after_adding_unlock_and_lock():
    async def work() -> None:
        desk, rig = await with_file()
        assert kinds(rig)[-1] == "anchored"
        await note_something(rig)
        await lock(rig)
        assert size_of(desk.heads.files[PATH]) == len(desk.store.entries)
        assert kinds(rig)[-1] == "locked"
        rig = await desk.unlocked()
        assert size_of(desk.heads.files[PATH]) == len(desk.store.entries)
        found = (await anchors(rig))["file"]
        assert (found["verdict"], found["where"], found["stale"]) == ("consistent", PATH, "")
        verify(rig)

    story(work)


@pytest.mark.parametrize("kind", ["file", "token"])
def test_yesterdays_database_is_told_by_the_head_alone(kind: str):
    async def work() -> None:
        desk = Desk(token_keeps_heads=kind == "token")
        rig = await desk.set_up()
        if kind == "file":
            await change(rig, change="anchor-add", name="file", text=PATH)
        await lock(rig)
        yesterday = desk.copied()
        rig = await desk.unlocked()
        await note_something(rig)
        await lock(rig)
        head = desk.heads.files.get(PATH), desk.token.head
        desk.store = yesterday
        await refused(desk, RolledBack)
        assert (desk.heads.files.get(PATH), desk.token.head) == head, "the evidence stays"

    story(work)


@pytest.mark.parametrize("kind", ["file", "token"])
def test_two_copies_that_went_on_are_told_apart(kind: str):
    async def work() -> None:
        desk = Desk(token_keeps_heads=kind == "token")
        rig = await desk.set_up()
        if kind == "file":
            await change(rig, change="anchor-add", name="file", text=PATH)
        await lock(rig)
        other = desk.copied()
        rig = await desk.unlocked()
        await lock(rig)
        head = desk.heads.files.get(PATH), desk.token.head
        desk.heads.files.pop(PATH, None)
        desk.token.head = None
        desk.store = other
        for _ in range(3):
            rig = await desk.unlocked()
            await note_something(rig, "Eve")
            await lock(rig)
        if head[0] is not None:
            desk.heads.files[PATH] = head[0]
        desk.token.head = head[1]
        await refused(desk, Forked)

    story(work)


def test_a_head_of_before_the_keys_were_renewed_is_older_and_one_of_after_is_a_roll_back():
    async def work() -> None:
        desk, rig = await with_file()
        early = desk.heads.files[PATH]
        await lock(rig)
        yesterday = desk.copied()
        rig = await desk.unlocked()
        await _rotate(rig)
        await settle(rig)
        await lock(rig)
        late = desk.heads.files[PATH]
        desk.heads.files[PATH] = early
        rig = await desk.unlocked()
        await lock(rig)
        desk.heads.files[PATH] = late
        desk.store = yesterday
        await refused(desk, RolledBack)

    story(work)


async def _rotate(rig: CoreRig) -> None:
    from ownerd.core import enrolment
    from ownerd.core.desk import Act

    (keyslot,) = rig.session.vault.keyslots.values()
    with rig.session.desk.open("change", APP, rig.job()) as act:
        assert isinstance(act, Act)
        await enrolment.rotate(rig.session, act, keyslot, {})


@pytest.mark.parametrize("content", [b"\0" * 40, b"not a note\n", b"cut"])
def test_what_is_no_head_closes_the_vault_and_is_not_written_over(content: bytes):
    async def work() -> None:
        desk, rig = await with_file()
        await lock(rig)
        bad = desk.heads.files[PATH][:-30] if content == b"cut" else content
        desk.heads.files[PATH] = bad
        await refused(desk, BadHead)
        assert desk.heads.files[PATH] == bad

    story(work)


def test_another_logs_note_and_a_changed_one_close_the_vault():
    async def work() -> None:
        desk, rig = await with_file()
        other, other_rig = await with_file()
        await lock(rig)
        await lock(other_rig)
        ours = desk.heads.files[PATH]
        desk.heads.files[PATH] = other.heads.files[PATH]
        await refused(desk, BadHead)
        text, _, tail = ours.partition(b"\n\n")
        origin, size, root = text.split(b"\n")
        desk.heads.files[PATH] = b"\n".join([origin, b"%d" % (int(size) - 1), root]) + b"\n\n" + tail
        await refused(desk, BadHead)
        desk.heads.files[PATH] = ours
        rig = await desk.unlocked()

    story(work)


@pytest.mark.parametrize(("content", "verdict"), [(b"", "missing"), (None, "unreachable")])
def test_what_is_gone_is_a_finding_and_is_not_quietly_made_anew(content: bytes | None, verdict: str):
    async def work() -> None:
        desk, rig = await with_file()
        await lock(rig)
        desk.heads.files[PATH] = content
        rig = await desk.unlocked()
        found = (await anchors(rig))["file"]
        assert found["verdict"] == verdict
        assert found["seen"] is not None
        await lock(rig)
        assert desk.heads.files[PATH] == content
        rig = await desk.unlocked()
        if content is None:
            with pytest.raises(StorageError):
                await change(rig, change="anchor-update", id=found["id"])
        else:
            await change(rig, change="anchor-update", id=found["id"])
            assert (await anchors(rig))["file"]["verdict"] == "consistent"

    story(work)


def test_a_crash_leaves_an_older_head_that_unlock_renews():
    async def work() -> None:
        desk, rig = await with_file()
        before = desk.heads.files[PATH]
        await note_something(rig)
        rig = await desk.unlocked()
        assert size_of(desk.heads.files[PATH]) > size_of(before)

    story(work)


def test_a_token_keeps_its_first_head_without_being_asked_and_no_entry_says_so():
    async def work() -> None:
        desk = Desk(token_keeps_heads=True)
        rig = await desk.set_up()
        await lock(rig)
        rig = await desk.unlocked()
        assert size_of(desk.token.head) == len(desk.store.entries)
        assert kinds(rig)[-1] == "unlocked"
        first = (await anchors(rig))["token"]
        assert (first["verdict"], first["seen"]) == ("consistent", None)
        await lock(rig)
        rig = await desk.unlocked()
        await lock(rig)
        desk.token.head = None
        rig = await desk.unlocked()
        found = (await anchors(rig))["token"]
        assert (found["verdict"], desk.token.head) == ("missing", None)
        assert found["seen"] is not None

    story(work)


def test_a_token_with_a_pin_is_written_only_when_the_owner_asks():
    async def work() -> None:
        desk = Desk(token_keeps_heads=True)
        desk.token.pin = b"1234"
        rig = await desk.set_up()
        await lock(rig)
        rig = await desk.unlocked()
        shown = len(rig.owner.shown)
        found = (await anchors(rig))["token"]
        assert (found["verdict"], found["stale"]) == ("missing", "PinNeeded")
        assert desk.token.head is None
        answer = await change(rig, change="anchor-update", id=found["id"])
        assert answer["anchors"][0]["verdict"] == "consistent"
        assert size_of(desk.token.head) == answer["entry"]
        assert any("PIN" in text or "A" in text for text in rig.owner.shown[shown:])

    story(work)


def test_two_computers_with_one_file_do_not_write_over_each_other():
    async def work() -> None:
        desk, rig = await with_file()
        await lock(rig)
        other = Desk()
        other.token, other.heads, other.store = desk.token, desk.heads, desk.copied()
        rig = await desk.unlocked()
        second = other.start()
        await second.agent.start()
        with pytest.raises((RolledBack, Forked)):
            await second.agent.unlock(APP, second.job())
        theirs = desk.heads.files[PATH]
        desk.heads.files[PATH] = b"somebody was faster"
        await lock(rig)
        assert desk.heads.files[PATH] == b"somebody was faster"
        stale = {one.place.kind: one.stale for one in rig.session.kept.values()}
        assert stale["file"] == "Busy"
        desk.heads.files[PATH] = theirs
        with pytest.raises(Busy):
            await desk.heads.swap(PATH, b"x", b"y")

    story(work)


def test_an_anchor_is_added_once_and_removed_with_a_touch():
    async def work() -> None:
        desk, rig = await with_file()
        with pytest.raises(NotAllowed):
            await change(rig, change="anchor-add", name="file", text=PATH)
        desk.heads.files["/else"] = b"somebody's"
        with pytest.raises(BadHead):
            await change(rig, change="anchor-add", name="file", text="/else")
        touches = len(desk.token.asked)
        await change(rig, change="anchor-remove", id=(await anchors(rig))["file"]["id"])
        assert len(desk.token.asked) == touches + 2, "one to look, one to remove"
        assert rig.session.vault.places == {}
        await lock(rig)
        verify(rig)

    story(work)
