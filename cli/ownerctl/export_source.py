"""Where an export's entries come from: the open vault after one touch, or the database file alone; and which are wanted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct, field

from ownerctl.errors import BadAnswer, UsageTrouble
from ownerctl.export_record import Record, members, read_record

if TYPE_CHECKING:
    from pathlib import Path

    from ownerctl.entry_pages import EntryPages
    from ownerctl.ledger_file import LedgerFile
    from ownerctl.options import Output


class Source(Protocol):
    """Entries, to be gone through more than once."""

    log: str
    values: bool

    def records(self, *, values: bool) -> AsyncIterator[Record]:
        """All of them in order, with values where they are to be had and wanted."""


class VaultSource:
    """The open vault."""

    values = True

    def __init__(self, pages: EntryPages) -> None:
        if not isinstance(pages.log, str) or not pages.log:
            raise BadAnswer("the daemon does not say which log it reads")
        self._pages = pages
        self.log = pages.log

    async def records(self, *, values: bool) -> AsyncIterator[Record]:
        """See `Source`. The first time with the values that the range was asked with."""
        async for entry in self._pages.entries(values=values):
            yield read_record(entry)


class FileSource:
    """The file: kinds, times and facts, nothing verified."""

    values = False

    def __init__(self, found: LedgerFile) -> None:
        self._found = found
        self.log = next((_file_record(seq, data)[1] for seq, data in found.entries()), "")

    async def records(self, *, values: bool) -> AsyncIterator[Record]:  # noqa: ARG002 -- the file has none
        """See `Source`."""
        for seq, data in self._found.entries():
            yield _file_record(seq, data)[0]


def _file_record(seq: int, data: bytes) -> tuple[Record, str]:
    """A leaf, and its log; one of a kind or with facts that are not known yet as far as it says. Raises `Malformed`."""
    from ownerd.ledger.entry import MAX_LEAF_BYTES, parse_leaf
    from ownerd.model.encoding import parse_json_object
    from ownerd.model.errors import InvalidArgument, Malformed

    try:
        leaf = parse_leaf(data)
    except Malformed as malformed:
        try:
            said = parse_json_object(data, max_bytes=MAX_LEAF_BYTES)
            core = members(said.get("core"))
            entry = {**core, "seq": seq, "values": None, "approval": said.get("approval") is not None}
            return read_record(entry), str(core.get("log", ""))
        except (InvalidArgument, BadAnswer):
            raise malformed from None
    known = leaf.core
    approved = leaf.approval is not None
    return Record(seq, known.time, known.kind.value, approved, dict(known.facts), None), known.log


@asynccontextmanager
async def open_vault(output: Output, *, values: bool) -> AsyncIterator[VaultSource]:
    """Ask for the whole ledger; the touch comes here. ``values``: those of the first going through."""
    from ownerctl.entry_pages import EntryPages
    from ownerctl.owner import owner

    async with owner(output) as asked:
        size = int((await asked.require_unlocked()).get("entries", 0))
        yield VaultSource(await EntryPages.read(asked, 0, size, values=values))


@asynccontextmanager
async def open_file(path: Path) -> AsyncIterator[FileSource]:
    """Read the database at ``path``. Raises `StorageError`, `Malformed`."""
    from ownerctl.ledger_file import open_ledger

    with open_ledger(path) as found:
        yield FileSource(found)


class Wanted(Struct):
    """What is exported: entries of a period, and of one provider. Make one for each going through.

    Entries about an entry that is wanted are wanted too where they name no provider themselves. ``nameless`` counts
    those that may be the provider's and do not say, because their values were erased.
    """

    since: str = ""
    before: str = ""
    provider: str = ""
    nameless: int = 0
    _taken: set[int] = field(default_factory=set)

    def takes(self, record: Record) -> bool:
        """Whether ``record`` is wanted."""
        in_time = self.since <= record.time and (not self.before or record.time < self.before)
        if not self.provider:
            return in_time
        if record.provider:
            about = self.provider.casefold() in {
                str(record.provider.get(name)).casefold() for name in ("name", "client_id")
            }
        else:
            about = any(seq in self._taken for seq in _about(record))
            if record.values is None and in_time and not about:
                self.nameless += 1
        if about:
            self._taken.add(record.seq)
        return about and in_time


def _about(record: Record) -> list[int]:
    numbers = (record.number(fact) for fact in ("entry", "grant"))
    return [*record.listed, *(seq for seq in numbers if seq is not None)]


def day_begins(day: datetime | None, *, days: int = 0) -> str:
    """The ledger's time at which a day begins here (local time), ``days`` later; empty for None."""
    from ownerd.model.clock import format_time

    if day is None:
        return ""
    try:
        begins = (day + timedelta(days=days)).astimezone(UTC)
        return format_time(int(begins.timestamp()) * 1000)
    except (OverflowError, ValueError, OSError) as error:
        raise UsageTrouble("there is no such day") from error
