"""Erasure: the openings of chosen entries are destroyed, the entries stay (docs/LEDGER.md, section 5).

Who asks names entries, or what they are about; the latter is resolved here, by opening what there is. The prompt
says what goes and what stays, a touch approves it, and an ``erased`` entry names what went, in the same transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from ownerd.core.desk import Act
from ownerd.core.records import read_entries
from ownerd.core.session import Session
from ownerd.core.statement import erasure_statement, statement_values
from ownerd.core.vault import Vault
from ownerd.ledger.entry import parse_leaf
from ownerd.ledger.facts import MAX_ERASED
from ownerd.model.claim import require_claim_name
from ownerd.model.clock import parse_time
from ownerd.model.encoding import Json
from ownerd.model.errors import InvalidArgument, NotFound
from ownerd.model.names import Kind, Progress

MAX_PARTS: Final = 8
MAX_LISTED: Final = 2000
_MAX_PROVIDER: Final = 1024
_AT_ONCE: Final = 256
_SELECTORS: Final = ("claim", "provider", "before")


class Selection(Struct, frozen=True):
    """What to erase: ``entries`` by number, or all that fit every one of the others."""

    entries: tuple[int, ...] = ()
    claim: str | None = None
    provider: str | None = None
    before: str | None = None

    def members(self) -> dict[str, Json]:
        """How a statement names it. A provider's id is random and means nothing once it is forgotten."""
        return {name: getattr(self, name) for name in _SELECTORS if getattr(self, name) is not None}


class Erasable(Struct, frozen=True):
    """One entry whose opening is there."""

    seq: int
    time: str
    kind: str


def parse_selection(members: dict[str, Json]) -> Selection:
    """Read ``entries`` or some of ``claim``, ``provider``, ``before``. Raises `InvalidArgument`."""
    entries = members.get("entries")
    claim, provider, before = (members.get(name) for name in _SELECTORS)
    if not all(isinstance(one, str | None) for one in (claim, provider, before)):
        raise InvalidArgument("a claim, a provider or a date is not text")
    if (entries is None) == (claim is None and provider is None and before is None):
        raise InvalidArgument("name entries, or what they are about, and not both")
    if claim is not None:
        require_claim_name(claim)
    if provider is not None and not 0 < len(provider) <= _MAX_PROVIDER:
        raise InvalidArgument("a provider's id is empty or too long")
    if before is not None:
        parse_time(before)
    return Selection(_numbers(entries) if entries is not None else (), claim, provider, before)


def _numbers(entries: Json) -> tuple[int, ...]:
    if not isinstance(entries, list) or not 0 < len(entries) <= MAX_PARTS * MAX_ERASED:
        raise InvalidArgument("entries are not a list, none or too many")
    if any(not isinstance(one, int) or isinstance(one, bool) or one < 0 for one in entries):
        raise InvalidArgument("entry numbers are not numbers")
    return tuple(sorted(set(entries)))


async def listing(session: Session, vault: Vault, selection: Selection) -> dict[str, Json]:
    """What would be erased: numbers, times and kinds, at most `MAX_LISTED` of them, and how many there are."""
    found = await find(session, vault, selection)
    rows: list[Json] = [{"seq": one.seq, "time": one.time, "kind": one.kind} for one in found[:MAX_LISTED]]
    return {"entries": rows, "count": len(found)}


async def find(session: Session, vault: Vault, selection: Selection) -> list[Erasable]:
    """Resolve a selection, ascending. Raises `NotFound` for none, or for an entry that has nothing to erase."""
    if selection.entries:
        return [await _named(session, seq) for seq in selection.entries]
    provider = vault.providers.get(selection.provider or "")
    client_id = selection.provider if provider is None else provider.client_id
    found: list[Erasable] = []
    start = 0
    while page := await session.store.openings(start, _AT_ONCE):
        for seq in page:
            one = await _named(session, seq)
            if selection.before is not None and one.time >= selection.before:
                continue
            if await _is_about(session, vault, seq, selection.claim, client_id):
                found.append(one)
        start = page[-1] + 1
    if not found:
        raise NotFound("no entry has such values; perhaps they are erased")
    if len(found) > MAX_PARTS * MAX_ERASED:
        raise InvalidArgument(
            f"more than {MAX_PARTS * MAX_ERASED} entries at once; take an earlier date first"
        )
    return found


async def _named(session: Session, seq: int) -> Erasable:
    leaves = await session.store.leaves(seq, 1)
    if not leaves or await session.store.openings(seq, 1) != [seq]:
        raise NotFound(f"entry {seq} is not there, or it has no values to erase")
    core = parse_leaf(leaves[0]).core
    return Erasable(seq, core.time, core.kind.value)


async def _is_about(
    session: Session, vault: Vault, seq: int, claim: str | None, client_id: str | None
) -> bool:
    """Whether an entry holds a value of ``claim``, and concerns the provider."""
    if claim is None and client_id is None:
        return True
    (entry,) = (await read_entries(session.store, vault.opening_keys(), seq, 1))["entries"]
    values = entry["values"] or {}
    if client_id is not None and _client_id(values) != client_id:
        return False
    if claim is None:
        return True
    # What came back may quote what was given, so it goes where that goes; the answered entry may be erased already.
    if entry["kind"] == Kind.RECEIPT.value:
        return await _is_about(session, vault, entry["facts"]["entry"], claim, None)
    return any(_holds(value, claim) for label, value in values.items() if label.startswith("claim/"))


def _client_id(values: dict[str, Json]) -> Json:
    provider = values.get("provider")
    return provider.get("client_id") if isinstance(provider, dict) else None


def _holds(value: Json, claim: str) -> bool:
    return isinstance(value, dict) and claim in (value.get("name"), value.get("of"))


async def erase(session: Session, act: Act, tool: str, selection: Selection) -> dict[str, Json]:
    """Destroy the openings after a touch for each `MAX_ERASED` of them. Returns the entries that say so."""
    journal = session.require_journal()
    made: list[Json] = []
    async with session.desk.turn(act):
        vault = session.require_vault()
        found = await find(session, vault, selection)
        parts = [found[start : start + MAX_ERASED] for start in range(0, len(found), MAX_ERASED)]
        kinds = dict(sorted(Counter(one.kind for one in found).items()))
        statement = erasure_statement(
            act.caller, tool, [one.seq for one in found], kinds, selection.members(), touches=len(parts)
        )
        await session.agree(act, statement, "Erase")
        token = await session.locate(act, vault.enrolled)
        for part in parts:
            entries = [one.seq for one in part]
            draft = journal.draft(
                Kind.ERASED, statement_values(statement, act.caller), {"entries": _facts(entries)}
            )
            answer = await session.touch(act, token, draft.challenge, [])
            act.report(Progress.RECORDING)
            made.append(await journal.append(draft, approval=answer.approval, erase=entries))
    return {"entries": made, "erased": len(found)}


def _facts(entries: Sequence[int]) -> list[Json]:
    return list(entries)
