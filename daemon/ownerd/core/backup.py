"""Backup: everything in one sealed file, after a touch; an ``owner-read`` entry tells of it and is in the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from ownerd.core import backup_file, seal
from ownerd.core.desk import Act
from ownerd.core.ports import BackupPort
from ownerd.core.session import Session
from ownerd.core.statement import backup_statement, statement_values
from ownerd.ledger.entry import parse_leaf
from ownerd.ledger.note import parse_checkpoint, parse_note
from ownerd.model.encoding import Json
from ownerd.model.errors import InvalidArgument, NotSupported, StorageError
from ownerd.model.names import Kind, Progress
from ownerd.model.secret import Secret

MAX_PATH: Final = 4096


def require_port(session: Session) -> BackupPort:
    """The port for backup files. Raises `NotSupported` where there is none."""
    if session.backups is None:
        raise NotSupported("this daemon keeps no backups")
    return session.backups


def require_path(value: Json) -> str:
    """An absolute path. Raises `InvalidArgument`."""
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value or len(value) > MAX_PATH:
        raise InvalidArgument("the file is not named by an absolute path")
    return value


async def make(session: Session, act: Act, tool: str, path: str) -> dict[str, Json]:
    """Write a backup to ``path``, where nothing is yet. Raises `UnsafeFile`, `StorageError`."""
    port = require_port(session)
    await port.require_new(path)
    async with session.desk.turn(act):
        vault, journal = session.require_vault(), session.require_journal()
        ways = sorted(one.credential.name for one in vault.keyslots.values())
        with_code = vault.recovery is not None
        statement = backup_statement(act.caller, tool, path, ways, with_code=with_code)
        await session.agree(act, statement, "Back up")
        token = await session.locate(act, vault.enrolled)
        draft = journal.draft(Kind.OWNER_READ, statement_values(statement, act.caller))
        answer = await session.touch(act, token, draft.challenge, [])
        act.report(Progress.RECORDING)
        entry = await journal.append(draft, approval=answer.approval)
        newest = await session.store.checkpoint()
        if newest is None:
            raise StorageError("the ledger has no checkpoint")
        size, note = newest
        (last,) = await session.store.leaves(size - 1, 1)
        made = parse_leaf(last).core.time
        content_key = Secret(session.rng(seal.KEY_BYTES))
        keyslots = [backup_file.without_names(one) for one in vault.keyslots.values()]
        recovery = vault.recovery

        def sealed(length: int, plain: Iterable[bytes]) -> Iterator[bytes]:
            header = backup_file.make_header(made, note, length, content_key, keyslots, recovery)
            return backup_file.seal_chunks(header, content_key, plain)

        written = await port.write(path, sealed)
    signed = parse_checkpoint(parse_note(note).text)
    return {"entry": entry, "entries": signed.size, "bytes": written, "ways": ways, "recovery": with_code}
