"""Anchors as the owner's tool words them: add and remove one, renew their heads, take in what a witness cosigned, list them.

Adding and removing take a touch. Renewing and taking in do not: they only add evidence, and replace none that disagrees.
A head that disagrees gives way only by name and with a touch: what it signed and is not here, the owner gives up as lost.
The entry is ``anchored``; heads that are renewed by themselves make none, because each entry would make them older again.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

from msgspec.structs import replace

from ownerd.core import anchoring
from ownerd.core.anchor_list import look, row, shown
from ownerd.core.anchor_places import KIND, Place
from ownerd.core.anchoring import Kept
from ownerd.core.desk import Act
from ownerd.core.owner import ToolMessage
from ownerd.core.session import DeskUi, Session
from ownerd.core.statement import anchor_statement, app_label, statement_values
from ownerd.core.vault import Vault
from ownerd.ledger.cosignature import parse_witness_key, verify_cosignature
from ownerd.ledger.note import parse_checkpoint, parse_note
from ownerd.model.clock import format_time
from ownerd.model.encoding import Json
from ownerd.model.errors import (
    BadSignature,
    InvalidArgument,
    LedgerError,
    Malformed,
    NotAllowed,
    NotFound,
    OwnerdError,
    StorageError,
    TokenMissing,
    Unsupported,
)
from ownerd.model.names import Kind, Progress

# Each change, and what its touches are for.
CHANGES: Final = {
    "anchor-add": "keep heads of the ledger elsewhere",
    "anchor-remove": "keep heads there no longer",
    "anchor-update": "keep the newest head elsewhere",
    "anchor-import": "take in a witness's note",
}
MAX_PLACES: Final = 16
MAX_PATH_BYTES: Final = 4095
_ID_BYTES: Final = 4
_MS: Final = 1000


async def change(session: Session, act: Act, message: ToolMessage) -> dict[str, Json]:
    """Carry out one of `CHANGES`. Raises `InvalidArgument`, `NotFound`."""
    members, tool = message.members, message.tool
    act.purpose = CHANGES[str(members["change"])]
    match members["change"]:
        case "anchor-add":
            return await add(session, act, tool, members.get("name"), members.get("text"))
        case "anchor-remove":
            return await remove(session, act, tool, members.get("id"))
        case "anchor-update" if members.get("older") is True:
            return await give_way(session, act, tool, members.get("id"))
        case "anchor-update":
            return await update(session, act, members.get("id"))
        case _:
            return await take_in(session, act, members.get("text"))


async def add(session: Session, act: Act, tool: str, kind: Json, where: Json) -> dict[str, Json]:
    """Add a file or a witness: one touch. A file gets the newest head at once.

    Raises `NotAllowed` for one that is there already, `LedgerError` where a head lies that does not agree.
    """
    place = _new_place(session, kind, where)
    async with session.desk.turn(act):
        vault, journal = session.require_vault(), session.require_journal()
        if len(vault.places) >= MAX_PLACES:
            raise NotAllowed(f"heads are kept in {MAX_PLACES} places already")
        if any((one.kind, one.where) == (place.kind, place.where) for one in vault.places.values()):
            raise NotAllowed("heads are kept there already")
        kept = Kept(place)
        if place.kind == "file":
            kept.note = await session.heads.read(place.where)
            await anchoring.judge_now(session, [kept])
            anchoring.require_agreement([kept])
        statement = anchor_statement("anchor-added", act.caller, tool, shown(vault, place))
        await session.agree(act, statement, "Yes, add")
        token = await session.locate(act, vault.enrolled)
        draft = journal.draft(Kind.ANCHORED, statement_values(statement, act.caller))
        answer = await session.touch(act, token, draft.challenge, [])
        act.report(Progress.RECORDING)
        if place.kind == "file":
            kept.place = replace(place, seen=format_time(journal.now_ms()), size=journal.size)
        put = [vault.place_record(kept.place)]
        entry = await journal.append(draft, approval=answer.approval, put=put, apply=vault.apply)
        size = await anchoring.write(session, kept, ui=None) if place.kind == "file" else None
        session.kept[place.id] = kept
    return {"entry": entry, "id": place.id, "size": size}


def _new_place(session: Session, kind: Json, where: Json) -> Place:
    if not isinstance(where, str):
        raise InvalidArgument("the message does not say where")
    place_id = session.rng(_ID_BYTES).hex()
    if kind == "file":
        path = PurePosixPath(where)
        is_plain = where.isprintable() and ".." not in path.parts and str(path) == where
        if not path.is_absolute() or not path.name or not is_plain or len(where.encode()) > MAX_PATH_BYTES:
            raise InvalidArgument("a head file is named by a plain absolute path")
        return Place(place_id, "file", where)
    if kind == "witness":
        try:
            parse_witness_key(where)
        except Malformed as error:
            raise InvalidArgument("not the key of a witness") from error
        return Place(place_id, "witness", where)
    raise InvalidArgument("heads are kept in a file, by a witness, or on an enrolled token")


async def remove(session: Session, act: Act, tool: str, place_id: Json) -> dict[str, Json]:
    """Keep heads there no longer: one touch. What lies there stays.

    Raises `NotAllowed` for an enrolled token, which is asked for its head at each unlock in any case.
    """
    place = _require_place(session.require_vault(), place_id)
    if place.kind == "token":
        raise NotAllowed("an enrolled token keeps its head; remove the token itself instead")
    async with session.desk.turn(act):
        vault, journal = session.require_vault(), session.require_journal()
        statement = anchor_statement("anchor-removed", act.caller, tool, shown(vault, place))
        await session.agree(act, statement, "Yes, remove")
        token = await session.locate(act, vault.enrolled)
        draft = journal.draft(Kind.OWNER_CHANGE, statement_values(statement, act.caller))
        answer = await session.touch(act, token, draft.challenge, [])
        gone = [(KIND, place.id)]
        entry = await journal.append(draft, approval=answer.approval, delete=gone, apply=vault.apply)
        session.kept.pop(place.id, None)
    return {"entry": entry, "id": place.id}


async def update(session: Session, act: Act, place_id: Json) -> dict[str, Json]:
    """Write the newest head to one place, or to all that are reached; a token may ask for PIN or management key.

    Where one is missing that was there before it is written anew: the owner asked for it. Raises for a single place
    what is wrong with it; of all, those that cannot be written are said so.
    """
    async with session.desk.turn(act):
        vault, journal = session.require_vault(), session.require_journal()
        found = await look(session)
        chosen = [one for one in found if _is_chosen(vault, one, place_id)]
        if not chosen:
            raise NotFound("no head is kept there; what a witness keeps comes with its note")
        written: list[Kept] = []
        for one in chosen:
            try:
                await _write(session, act, one)
                written.append(one)
            except OwnerdError as error:
                if place_id is not None:
                    raise
                one.stale = error.id
        entry = None
        if written:
            values: dict[str, Json] = {
                "app": app_label(act.caller),
                "anchors": [{**shown(vault, one.place), "size": one.place.size} for one in written],
            }
            put = [vault.place_record(one.place) for one in written]
            entry = await journal.append(journal.draft(Kind.ANCHORED, values), put=put, apply=vault.apply)
        session.kept |= {one.place.id: one for one in written}
    return {"entry": entry, "anchors": [row(vault, one) for one in chosen]}


async def give_way(session: Session, act: Act, tool: str, place_id: Json) -> dict[str, Json]:
    """Write the newest head over one that signed what is lost, as after a restore of an older backup: one touch.

    Raises `NotAllowed` where the head there agrees, or none is; `BadHead` where it is no head of this ledger.
    """
    if not isinstance(place_id, str):
        raise InvalidArgument("the message does not say which head gives way")
    async with session.desk.turn(act):
        vault, journal = session.require_vault(), session.require_journal()
        chosen = [one for one in await look(session) if _is_chosen(vault, one, place_id)]
        if not chosen:
            raise NotFound("no head is kept there; what a witness keeps comes with its note")
        kept = chosen[0]
        if kept.judged is None or kept.judged.verdict.agrees:
            raise NotAllowed("no head is there that the ledger would not continue")
        if not kept.judged.verdict.tells_loss:
            anchoring.require_agreement([kept])
        anchor: dict[str, Json] = {**shown(vault, kept.place), "size": kept.judged.size}
        statement = anchor_statement("anchor-lost", act.caller, tool, anchor)
        await session.agree(act, statement, "Yes, give up")
        token = await session.locate(act, vault.enrolled)
        draft = journal.draft(Kind.ANCHORED, statement_values(statement, act.caller))
        answer = await session.touch(act, token, draft.challenge, [])
        act.report(Progress.RECORDING)
        entry = await journal.append(draft, approval=answer.approval)
        await _overwrite(session, act, kept)
        session.kept[kept.place.id] = kept
    return {"entry": entry, "anchors": [row(vault, kept)]}


async def _write(session: Session, act: Act, kept: Kept) -> None:
    anchoring.require_agreement([kept])
    if kept.problem == anchoring.UNSUPPORTED:
        raise Unsupported("that token keeps no head, or tells nothing without a touch")
    if kept.problem == anchoring.UNREACHABLE:
        if kept.place.kind == "token":
            raise TokenMissing("that token is not here, or does not answer")
        raise StorageError("nothing can be read where that head is kept")
    await _overwrite(session, act, kept)


async def _overwrite(session: Session, act: Act, kept: Kept) -> None:
    async with session.desk.touch(act) as needed:
        size = await anchoring.write(session, kept, ui=DeskUi(session.desk, act, needed))
    now = format_time(session.require_journal().now_ms())
    kept.place, kept.stale = replace(kept.place, seen=now, size=size), ""
    await anchoring.judge_now(session, [kept])


async def take_in(session: Session, act: Act, text: Json) -> dict[str, Json]:
    """Take in what a witness cosigned, to be held against the ledger from now on.

    Raises `BadSignature` where no witness that was added cosigned it, `RolledBack`, `Forked`, `BadHead`, and `NotAllowed`
    for an older note than the one that is kept.
    """
    if not isinstance(text, str):
        raise InvalidArgument("the message has no note")
    note = text.encode()
    async with session.desk.turn(act):
        vault, journal = session.require_vault(), session.require_journal()
        place, time = _witnessed(vault, note)
        size = parse_checkpoint(parse_note(note).text).size
        seen = format_time(journal.now_ms())
        kept = Kept(replace(place, seen=seen, size=size, note=note), note)
        await anchoring.judge_now(session, [kept])
        anchoring.require_agreement([kept])
        if place.size is not None and size < place.size:
            raise NotAllowed("a newer note of this witness is kept already")
        values: dict[str, Json] = {
            "app": app_label(act.caller),
            "anchors": [{**shown(vault, place), "size": size, "cosigned": format_time(time * _MS)}],
        }
        put = [vault.place_record(kept.place)]
        entry = await journal.append(journal.draft(Kind.ANCHORED, values), put=put, apply=vault.apply)
        session.kept[place.id] = kept
    return {"entry": entry, "id": place.id, "size": size, "cosigned": format_time(time * _MS)}


def _witnessed(vault: Vault, note: bytes) -> tuple[Place, int]:
    witnesses = [one for one in vault.places.values() if one.kind == "witness"]
    if not witnesses:
        raise NotFound("no witness was added")
    problem: LedgerError | None = None
    for place in witnesses:
        try:
            return place, verify_cosignature(note, parse_witness_key(place.where))
        except LedgerError as error:
            problem = error
    raise BadSignature("no witness that was added cosigned this note") from problem


def _is_chosen(vault: Vault, kept: Kept, wanted: Json) -> bool:
    """Whether ``wanted``, the id of a place or the name or id of a token, means this one; None means all but strange cards.

    A card wants its management key, so one that has kept no head yet is not asked for it by the way.
    """
    place = kept.place
    if place.kind == "witness":
        return False
    token = vault.enrolled[place.where].credential if place.kind == "token" else None
    if wanted is None:
        return token is None or token.type == "fido2" or place.id in vault.places
    return wanted == place.id or (token is not None and wanted in (token.id, token.name))


def _require_place(vault: Vault, place_id: Json) -> Place:
    place = vault.places.get(place_id) if isinstance(place_id, str) else None
    if place is None:
        raise NotFound("no heads are kept under this id")
    return place
