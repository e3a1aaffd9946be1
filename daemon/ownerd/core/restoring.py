"""Restore: a backup is opened by a touch or the recovery code, judged, and put in place with an entry of its own.

Order: (1) the header is read, and nothing of it believed; (2) the owner agrees to what it says; (3) one touch signs a
``restored`` entry over the tree that the header names, and opens the content key; (4) every chunk opens into a database
of its own beside the vault; (5) that is judged as at an unlock, and its tree is the one that was signed; (6) vault, log
and opening keys are renewed and the ``restored`` entry appended there; (7) it takes the vault's place in one step.
What was there before is kept aside. The daemon ends afterwards; the next start is locked.

With the recovery code a token is enrolled in the restored ledger first (as `ownerd.core.recovery` does), and approves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from ownerd.core import anchor_places, backup_file, enrolment, recovery, seal
from ownerd.core import keyslot as keyslots
from ownerd.core import recovery_code as codes
from ownerd.core.backup import require_path, require_port
from ownerd.core.backup_file import Header
from ownerd.core.desk import Act
from ownerd.core.enrolment import Choice
from ownerd.core.journal import Draft, Journal, Tree, make_draft
from ownerd.core.keyslot import Keyslot
from ownerd.core.new_keys import NewKeys, make_new_keys
from ownerd.core.ports import Record
from ownerd.core.session import DeskUi, Session
from ownerd.core.statement import Statement, restore_statement, statement_values
from ownerd.core.unlocking import verify_tail
from ownerd.core.vault import Vault
from ownerd.ledger.entry import parse_leaf
from ownerd.model.clock import parse_time
from ownerd.model.encoding import Json, format_b64u
from ownerd.model.errors import BackupDamaged, InvalidArgument, NotAllowed, NotFound, OwnerdError
from ownerd.model.names import Kind, Progress
from ownerd.model.secret import Secret
from ownerd.model.token import Approval


class Wanted(Struct, frozen=True):
    """What the tool asks for: which file, over an existing vault or not, by code or by token.

    With ``older`` heads that are kept elsewhere and are newer give way.
    """

    path: str
    replace: bool
    older: bool
    choice: Choice | None


# What the answer says, who approved, and the head of the restored ledger.
Restored = tuple[dict[str, Json], Keyslot, bytes]


def parse_wanted(members: dict[str, Json]) -> Wanted:
    """Read ``file``, ``replace`` and, for the recovery code, the token to enrol. Raises `InvalidArgument`."""
    over, older = members.get("replace", False), members.get("older", False)
    if not isinstance(over, bool) or not isinstance(older, bool):
        raise InvalidArgument("whether something gives way is neither true nor false")
    choice = enrolment.parse_choice(members) if "token" in members else None
    return Wanted(require_path(members.get("file")), over, older, choice)


async def restore(
    session: Session, act: Act, tool: str, wanted: Wanted, on_close: Callable[[], None]
) -> dict[str, Json]:
    """Put a backup in the vault's place. Raises `BackupDamaged`, `NotAllowed`, `Tampered`, `RolledBack` and others.

    ``on_close`` is called when the session's store is closed for good: the process must end then. Until it is called
    the vault is as it was.
    """
    act.purpose = "restore a backup"
    port = require_port(session)
    head = await port.read_head(wanted.path)
    header = backup_file.parse_header(head.data)
    if head.rest != header.sealed_bytes:
        raise BackupDamaged("the backup was cut, or something was added to it")
    async with session.desk.turn(act):
        if session.vault is not None:
            raise NotAllowed("the vault is open; lock it first")
        occupied = await port.occupied()
        if occupied and not wanted.replace:
            raise NotAllowed("there is a vault already; it can be replaced, and is kept aside then")
        statement = _statement(session, act, tool, header, head.data, wanted=wanted, occupied=occupied)
        await session.agree(act, statement, "Yes, restore")
        try:
            answer, approver, note = await _opened(session, act, header, wanted, statement)
        except BaseException:
            await port.discard()
            raise
        on_close()
        await session.store.close()
        await port.adopt()
        if wanted.older:
            # Only now: had it been before, and this the end, the old vault would have been the older one.
            answer["head"] = await _give_way(session, act, approver, note)
    return {**answer, "replaced": occupied, "size": header.signed.size}


async def _give_way(session: Session, act: Act, approver: Keyslot, note: bytes) -> str:
    """Let the token keep the restored ledger's head; says how that went. The restore stands either way."""
    credential = approver.credential
    try:
        expected = await session.tokens.read_head(credential)
        async with session.desk.touch(act) as needed:
            ui = DeskUi(session.desk, act, needed)
            await session.tokens.write_head(credential, note, expected, ui=ui)
    except OwnerdError as error:
        return error.id
    return "renewed"


def _statement(
    session: Session, act: Act, tool: str, header: Header, data: bytes, *, wanted: Wanted, occupied: bool
) -> Statement:
    here = session.journal
    return restore_statement(
        act.caller,
        tool,
        {
            "log": header.log_id,
            "made": header.made,
            "entries": header.signed.size,
            "header": format_b64u(seal.digest(data)),
            "by_code": wanted.choice is not None,
            "older": wanted.older,
        },
        None
        if not occupied
        else {"log": here.log_id if here else None, "entries": here.size if here else None},
    )


async def _opened(
    session: Session, act: Act, header: Header, wanted: Wanted, statement: Statement
) -> Restored:
    """Steps 3 to 6; the staged database is closed and complete afterwards."""
    if wanted.choice is not None:
        return await _by_code(session, act, header, wanted, wanted.choice, statement)
    new = make_new_keys(session.rng)
    signed = header.signed
    ways = {way.keyslot.id: way.keyslot for way in header.ways}
    way = await session.locate(act, ways)
    tree = Tree(header.log_id, signed.size, signed.root)
    now_ms = max(session.clock.now_ms(), parse_time(header.made))
    facts = new.keys.facts(signed.origin)
    draft = make_draft(
        tree, now_ms, Kind.RESTORED, statement_values(statement, act.caller), facts, session.rng
    )
    answer = await session.touch(act, way, draft.challenge, [way.slot.handle])
    act.report(Progress.RECORDING)
    private = keyslots.open_private(way, "slot", answer.secrets[0])
    content_key = backup_file.unwrap(next(one for one in header.ways if one.keyslot is way), private)
    staged = await _stage(session, header, wanted.path, content_key)
    try:
        keyslot = await _keyslot(staged, way.id)
        vault_key = keyslots.open_vault_key(keyslot, answer.secrets[0])
        journal, vault = await _judged(staged, header, vault_key, keyslot.generation)
        await _require_agreement(staged, journal, vault, wanted, way.id)
        entry, note = await _append(staged, journal, vault, draft, answer.approval, new, wanted)
    finally:
        await staged.store.close()
    others = _others(vault, way.id)
    return {"entry": entry, "verifier_key": facts["verifier_key"], "others": others}, way, note


def _others(vault: Vault, approver: str) -> list[Json]:
    """Tokens that open the restored vault, too, and may keep a head of what was lost."""
    return [enrolment.shown(one.credential) for one in vault.enrolled.values() if one.id != approver]


async def _require_agreement(
    staged: Session, journal: Journal, vault: Vault, wanted: Wanted, *present: str
) -> None:
    """Step 5: as at an unlock. With ``older`` nothing that is kept elsewhere is read: the owner says it gives way."""
    if wanted.older:
        vault.places.clear()
        present = ()
    await verify_tail(staged, journal, vault, *present)


async def _by_code(
    session: Session, act: Act, header: Header, wanted: Wanted, choice: Choice, statement: Statement
) -> Restored:
    if header.recovery is None:
        raise NotFound("no recovery code opens this backup")
    await enrolment.require_present(session, choice.token_id)
    keys = await recovery.ask_code(session, act)
    if seal.public_of(keys.private) != header.recovery.public:
        raise NotAllowed("this is not the recovery code of this backup")
    content_key = backup_file.unwrap(header.recovery, keys.private)
    staged = await _stage(session, header, wanted.path, content_key)
    try:
        slot = await recovery.require_slot(staged)
        journal, vault = await _judged(staged, header, codes.open_vault_key(slot, keys), slot.generation)
        await _require_agreement(staged, journal, vault, wanted)
        staged = replace(staged, journal=journal)
        token, _ = await recovery.enrol_with(staged, act, choice, keys, vault, statement)
        new = make_new_keys(session.rng)
        draft = journal.draft(
            Kind.RESTORED, statement_values(statement, act.caller), new.keys.facts(journal.origin)
        )
        answer = await session.touch(act, token, draft.challenge, [])
        later = Vault(vault.root, vault.generation, session.rng)
        later.apply(await staged.store.records(), ())
        entry, note = await _append(staged, journal, later, draft, answer.approval, new, wanted)
    finally:
        await staged.store.close()
    about: dict[str, Json] = {
        "entry": entry,
        "verifier_key": new.keys.facts(journal.origin)["verifier_key"],
        "token": enrolment.shown(token.credential),
        "others": _others(later, token.id),
    }
    return about, token, note


async def _stage(session: Session, header: Header, path: str, content_key: Secret) -> Session:
    """Step 4: a session over the opened database, which is nobody's vault yet."""
    store = await require_port(session).stage(
        path, lambda sealed: backup_file.open_chunks(header, content_key, sealed)
    )
    return replace(session, store=store, journal=None, vault=None, unlocked=asyncio.Event(), kept={})


async def _keyslot(staged: Session, token_id: str) -> Keyslot:
    try:
        return (await staged.keyslots())[token_id]
    except KeyError as error:
        raise BackupDamaged("the token is not enrolled in the vault of the backup") from error


async def _judged(
    staged: Session, header: Header, vault_key: Secret, generation: int
) -> tuple[Journal, Vault]:
    """Step 5, as far as the header goes: the tree is the one that it named. Raises `BackupDamaged`, `Tampered`."""
    try:
        journal = await Journal.load(staged.store, staged.clock, staged.rng)
        (last,) = await staged.store.leaves(journal.size - 1, 1)
    except (IndexError, ValueError) as error:
        raise BackupDamaged("the backup holds no ledger") from error
    newest = await staged.store.checkpoint()
    signed, made = header.signed, parse_leaf(last).core.time
    if (journal.log_id, journal.size, made) != (header.log_id, signed.size, header.made):
        raise BackupDamaged("the backup holds another ledger than its header names")
    if newest != (signed.size, header.checkpoint):
        raise BackupDamaged("the backup's header names another head than its ledger has")
    staged.journal = journal
    vault = Vault(vault_key, generation, staged.rng)
    vault.apply(await staged.store.records(), ())
    return journal, vault


async def _append(
    staged: Session,
    journal: Journal,
    vault: Vault,
    draft: Draft,
    approval: Approval,
    new: NewKeys,
    wanted: Wanted,
) -> tuple[int, bytes]:
    """Step 6: everything under new keys, and the entry that says so; returns it, and the head over it."""
    records = await staged.store.records()
    gone = [(one.kind, one.id) for one in records if wanted.older and one.kind == anchor_places.KIND]
    kept = [one for one in records if (one.kind, one.id) not in gone]

    def reseal(entry: int) -> Sequence[Record]:
        return vault.rotated(kept, *new.private, entry)[1]

    entry = await journal.append(draft, approval=approval, put=reseal, delete=gone, renew=new.keys)
    newest = await staged.store.checkpoint()
    return entry, b"" if newest is None else newest[1]
