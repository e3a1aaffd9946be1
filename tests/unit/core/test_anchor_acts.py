"""The owner's acts on anchors: a witness's note taken in, heads renewed by hand, and what is refused."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.rigs.anchors import PATH, Desk, anchors, change, lock, note_something, story
from tests.rigs.core import CoreRig, FakeToken, kinds, opened_values, verify
from tests.unit.core.test_recovery import Paper, recover

from ownerd.ledger.cosignature import cosign, format_witness_key, witness_key
from ownerd.ledger.note import format_verifier_key
from ownerd.model.errors import (
    BadHead,
    BadSignature,
    Dismissed,
    Forked,
    InvalidArgument,
    NotAllowed,
    NotFound,
    RolledBack,
    StorageError,
    Unsupported,
)

NAME, TIME = "phone/witness", 1_795_442_400
KEY = Ed25519PrivateKey.from_private_bytes(b"w" * 32)
VKEY = format_witness_key(witness_key(NAME, KEY.public_key()))


async def with_witness() -> tuple[Desk, CoreRig]:
    desk = Desk()
    rig = await desk.set_up()
    await change(rig, change="anchor-add", name="witness", text=VKEY)
    return desk, rig


def newest(desk: Desk) -> bytes:
    return desk.store.checkpoints[-1][1]


async def take_in(rig: CoreRig, note: bytes) -> dict:
    return await change(rig, change="anchor-import", text=note.decode())


def test_a_cosigned_note_is_kept_and_held_against_the_ledger():
    async def work() -> None:
        desk, rig = await with_witness()
        assert (await anchors(rig))["witness"]["verdict"] == "missing"
        size = len(desk.store.entries)
        answer = await take_in(rig, cosign(newest(desk), NAME, KEY, TIME))
        assert (answer["size"], kinds(rig)[-1]) == (size, "anchored")
        values = await opened_values(rig, answer["entry"])
        assert values["anchors"] == [
            {"kind": "witness", "where": NAME, "size": size, "cosigned": "2026-11-23T14:00:00.000Z"}
        ]
        found = (await anchors(rig))["witness"]
        assert (found["where"], found["size"], found["verdict"]) == (NAME, size, "older")
        await lock(rig)
        rig = await desk.unlocked()
        assert (await anchors(rig))["witness"]["size"] == size
        verify(rig)

    story(work)


def test_a_note_that_is_not_cosigned_older_or_no_note_is_refused():
    async def work() -> None:
        desk, rig = await with_witness()
        early = cosign(newest(desk), NAME, KEY, TIME)
        await note_something(rig)
        late = cosign(newest(desk), NAME, KEY, TIME + 1)
        await take_in(rig, late)
        entries = len(desk.store.entries)
        stranger = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
        for note, error in [
            (newest(desk), BadSignature),
            (cosign(newest(desk), NAME, stranger, TIME), BadSignature),
            (b"no note\n", BadSignature),
            (early, NotAllowed),
        ]:
            with pytest.raises(error):
                await take_in(rig, note)
        assert set(kinds(rig)[entries:]) <= {"failed", "refused"}
        assert rig.session.vault.places[next(iter(rig.session.vault.places))].note == late

    story(work)


def test_a_note_brought_to_yesterdays_database_tells_it():
    async def work() -> None:
        desk, rig = await with_witness()
        await lock(rig)
        yesterday = desk.copied()
        rig = await desk.unlocked()
        await note_something(rig)
        late = cosign(newest(desk), NAME, KEY, TIME)
        await lock(rig)
        desk.store = yesterday
        rig = await desk.unlocked()
        with pytest.raises(RolledBack):
            await take_in(rig, late)
        for _ in range(3):
            await note_something(rig, "Eve")
        with pytest.raises(Forked):
            await take_in(rig, late)

    story(work)


def test_a_note_of_another_ledger_and_one_without_a_witness_are_refused():
    async def work() -> None:
        desk, rig = await with_witness()
        other, _ = await with_witness()
        with pytest.raises(BadHead):
            await take_in(rig, cosign(newest(other), NAME, KEY, TIME))
        plain = Desk()
        plain_rig = await plain.set_up()
        with pytest.raises(NotFound):
            await take_in(plain_rig, cosign(newest(plain), NAME, KEY, TIME))
        assert desk.heads.files == {}

    story(work)


@pytest.mark.parametrize(("kind", "where"), [
    ("file", "relative"), ("file", "/a/../b"), ("file", "/"), ("file", "/a\nb"), ("file", "/" + "x" * 4096),
    ("file", "/a//b"), ("file", 7), ("witness", "no key"), ("witness", ""), ("token", "A"), (None, "/a"),
    ("witness", format_verifier_key(NAME, KEY.public_key())),
])  # fmt: skip
def test_a_place_that_is_none_is_refused_before_anybody_is_asked(kind: object, where: object):
    async def work() -> None:
        desk = Desk()
        rig = await desk.set_up()
        shown = len(rig.owner.shown)
        with pytest.raises(InvalidArgument):
            await change(rig, change="anchor-add", name=kind, text=where)
        assert len(rig.owner.shown) == shown

    story(work)


def test_the_owner_is_shown_the_path_and_may_refuse():
    async def work() -> None:
        desk = Desk()
        rig = await desk.set_up()
        rig.owner.decision = False
        with pytest.raises(Dismissed):
            await change(rig, change="anchor-add", name="file", text=PATH)
        assert PATH in rig.owner.shown[-1]
        assert (desk.heads.files, rig.session.vault.places) == ({}, {})

    story(work)


def test_a_head_that_disagrees_is_not_written_over_by_hand_either():
    async def work() -> None:
        desk = Desk()
        rig = await desk.set_up()
        added = await change(rig, change="anchor-add", name="file", text=PATH)
        other = Desk()
        await other.set_up()
        desk.heads.files[PATH] = newest(other)
        for more in ({}, {"older": True}):
            with pytest.raises(BadHead):
                await change(rig, change="anchor-update", id=added["id"], **more)
        answer = await change(rig, change="anchor-update")
        assert (answer["entry"], answer["anchors"][0]["stale"]) == (None, "BadHead")
        assert desk.heads.files[PATH] == newest(other)
        desk.heads.files[PATH] = None
        with pytest.raises(StorageError):
            await change(rig, change="anchor-update", id=added["id"])
        for wrong in ("nothing", 7):
            with pytest.raises(NotFound):
                await change(rig, change="anchor-update", id=wrong)
            with pytest.raises(NotFound):
                await change(rig, change="anchor-remove", id=wrong)

    story(work)


def test_a_token_that_keeps_no_heads_says_so():
    async def work() -> None:
        desk = Desk()
        rig = await desk.set_up()
        assert (await anchors(rig))["token"]["verdict"] == "unsupported"
        with pytest.raises(Unsupported):
            await change(rig, change="anchor-update", id="A")

    story(work)


def test_where_heads_are_kept_is_sealed_and_known_after_a_lock():
    async def work() -> None:
        desk = Desk()
        rig = await desk.set_up()
        await change(rig, change="anchor-add", name="file", text=PATH)
        assert not any(PATH.encode() in record.sealed for record in desk.store.vault.values())
        assert not any(PATH.encode() in row.leaf for row in desk.store.entries)
        await lock(rig)
        rig = await desk.unlocked()
        assert [one.where for one in rig.session.vault.places.values()] == [PATH]

    story(work)


def test_a_token_keeps_its_head_until_it_is_removed_itself():
    async def work() -> None:
        desk = Desk(token_keeps_heads=True)
        rig = await desk.set_up()
        await lock(rig)
        rig = await desk.unlocked()
        await lock(rig)
        rig = await desk.unlocked()
        (place,) = rig.session.vault.places.values()
        assert place.kind == "token"
        with pytest.raises(NotAllowed):
            await change(rig, change="anchor-remove", id=place.id)
        spare = FakeToken("B")
        rig.tokens.tokens.append(spare)
        await change(rig, change="token-add", token="B", user_verification=False)
        await change(rig, change="token-remove", id=desk.token.credential.id)
        assert rig.session.vault.places == {}
        verify(rig)

    story(work)


def test_the_recovery_code_does_not_open_yesterdays_database_either():
    async def work() -> None:
        desk = Desk()
        rig = await desk.set_up()
        paper = Paper(rig)
        await change(rig, change="recovery-set")
        await change(rig, change="anchor-add", name="file", text=PATH)
        await lock(rig)
        yesterday = desk.copied()
        rig = await desk.unlocked()
        await lock(rig)
        desk.store = yesterday
        rig = desk.start()
        rig.tokens.tokens.append(FakeToken("B"))
        await rig.agent.start()
        Paper(rig).code = paper.code
        with pytest.raises(RolledBack):
            await recover(rig, "B")
        assert rig.session.vault is None
        assert kinds(rig)[-1] == "failed"

    story(work)
