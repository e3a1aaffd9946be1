"""Heads kept elsewhere, in use: read at unlock, held against the ledger, and renewed while it is open.

Whatever can be reached must agree with the ledger, or the vault stays closed. What is missing or cannot be reached is told and
proves nothing. A head is renewed without asking anybody: on a token that wants neither PIN nor touch for it, and in files; and only in
the place of the one that was read and agreed. Where one is gone that was there before, none is written: that it is gone is evidence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from ownerd.core.anchor_places import Place, token_place_id
from ownerd.core.ports import Record, StorePort, TokenUi
from ownerd.ledger.anchor import Judged, Ours, claimed_sizes, is_signed_by_unknown, judge
from ownerd.ledger.entry import Leaf, parse_leaf
from ownerd.ledger.log_keys import LogKeys
from ownerd.ledger.merkle import roots_at
from ownerd.model.clock import format_time
from ownerd.model.errors import NotFound, OwnerdError, TokenMissing, Unsupported
from ownerd.model.names import Kind

if TYPE_CHECKING:
    from ownerd.core.session import Session
    from ownerd.core.vault import Vault

# An unlock waits so long for a head, and the end of the process for its last writing.
READ_SECONDS: Final = 3.0
WRITE_SECONDS: Final = 2.0
MISSING: Final = "missing"
UNREACHABLE: Final = "unreachable"
UNSUPPORTED: Final = "unsupported"
WHERE: Final = {"token": "the token", "file": "the head file", "witness": "the witness's note"}

_READ_AT_ONCE: Final = 4096


class Kept(Struct):
    """One place, and what was found there: a note, or why there is none.

    ``judged`` is None without a note; ``written``: the note is ours, of this start. ``stale`` says why the head was not renewed, empty while it was.
    """

    place: Place
    note: bytes | None = None
    problem: str = ""
    judged: Judged | None = None
    stale: str = ""
    written: bool = False

    @property
    def may_be_renewed(self) -> bool:
        """Whether a newer head may take the place of what is there."""
        if self.written:
            return True
        if self.note is None:
            return self.problem == MISSING and self.place.seen is None
        return self.judged is not None and self.judged.verdict.agrees

    @property
    def verdict(self) -> str:
        """One word for people and tools."""
        return self.problem if self.judged is None else self.judged.verdict.value


class Tree(Struct, frozen=True):
    """The ledger's tree here: entries, those under the newest checkpoint, and the roots that heads ask for."""

    size: int
    signed: int
    roots: dict[int, bytes]


async def read_all(session: Session, vault: Vault, present: Collection[str]) -> list[Kept]:
    """Read every place; of the tokens those whose ids are ``present``, known as places or not. Raises nothing."""
    places = {
        one.id: one for one in vault.places.values() if one.kind != "token" or one.where in vault.enrolled
    }
    for token_id in present:
        place_id = token_place_id(token_id)
        places.setdefault(place_id, Place(place_id, "token", token_id))
    return list(await asyncio.gather(*(_read(session, vault, one, present) for one in places.values())))


async def _read(session: Session, vault: Vault, place: Place, present: Collection[str]) -> Kept:
    try:
        async with asyncio.timeout(READ_SECONDS):
            note = await _note(session, vault, place, present)
    except Unsupported:
        return Kept(place, problem=UNSUPPORTED)
    except (OwnerdError, TimeoutError):
        return Kept(place, problem=UNREACHABLE)
    return Kept(place, note, "" if note is not None else MISSING)


async def _note(session: Session, vault: Vault, place: Place, present: Collection[str]) -> bytes | None:
    match place.kind:
        case "file":
            return await session.heads.read(place.where)
        case "witness":
            return place.note or None
        case _:
            token = vault.enrolled.get(place.where)
            if token is None or place.where not in present:
                raise TokenMissing("that token is not here")
            return await session.tokens.read_head(token.credential)


def notes(kept: Iterable[Kept]) -> list[bytes]:
    """The heads that were found."""
    return [one.note for one in kept if one.note is not None]


async def judge_all(session: Session, vault: Vault, kept: Iterable[Kept], *, leaf: Leaf, tree: Tree) -> None:
    """Judge what was found against the ledger here; ``leaf`` is the entry that put the log's keys in force."""
    found = [one for one in kept if one.note is not None]
    if not found:
        return
    origin = session.require_journal().origin
    keys = LogKeys(None)
    _follow(keys, vault.keys_entry, leaf)
    if any(is_signed_by_unknown(one.note or b"", origin, keys) for one in found):
        keys = await _all_keys(session.store)
    ours = Ours(origin, tree.size, tree.signed, tree.roots, keys)
    for one in found:
        one.judged = judge(one.note or b"", ours)


def require_agreement(kept: Iterable[Kept]) -> None:
    """Raise `RolledBack`, `Forked` or `BadHead` for the first head that the ledger does not continue."""
    for one in kept:
        if one.judged is not None:
            one.judged.require_agrees(WHERE[one.place.kind])


def seen_records(vault: Vault, kept: Iterable[Kept], now_ms: int) -> list[Record]:
    """Records of the places whose heads agreed, as seen now; the one of a token is made with its first head."""
    records = []
    for one in kept:
        if one.judged is not None and one.judged.verdict.agrees:
            one.place = replace(one.place, seen=format_time(now_ms), size=one.judged.size)
            records.append(vault.place_record(one.place))
    return records


async def look(session: Session, present: Collection[str]) -> list[Kept]:
    """Read and judge every place now, in the open vault. Raises `StorageError`, `LedgerError` for the ledger's sake."""
    kept = await read_all(session, session.require_vault(), present)
    await judge_now(session, kept)
    return kept


async def judge_now(session: Session, kept: Collection[Kept]) -> None:
    """Judge what was read against the ledger as it is now, in the open vault. Raises as `look`."""
    vault, store = session.require_vault(), session.store
    leaves = await store.leaves(vault.keys_entry, 1)
    newest, hashes = await asyncio.gather(store.checkpoint(), store.leaf_hashes())
    signed = 0 if newest is None else newest[0]
    tree = Tree(len(hashes), signed, roots_at(hashes, claimed_sizes(notes(kept))))
    await judge_all(session, vault, kept, leaf=parse_leaf(leaves[0]), tree=tree)


# -- renewing --


def renew_soon(session: Session, kept: Iterable[Kept]) -> None:
    """Begin to renew heads without asking anybody; `renew_last` waits for it. The vault is open."""
    session.kept = {one.place.id: one for one in kept}
    session.renewing = asyncio.ensure_future(_renew(session, list(session.kept.values())))


async def renew_last(session: Session) -> None:
    """At the end: bring the head of the last entry into the files. Raises nothing, and waits for nobody long."""
    if session.renewing is not None:
        await asyncio.wait({session.renewing}, timeout=WRITE_SECONDS)
        session.renewing.cancel()
    files = [one for one in session.kept.values() if one.place.kind == "file"]
    if files:
        with suppress(TimeoutError):
            async with asyncio.timeout(WRITE_SECONDS):
                await _renew(session, files)


async def _renew(session: Session, kept: Iterable[Kept]) -> None:
    await asyncio.gather(*(_renew_one(session, one) for one in kept if one.place.kind != "witness"))


async def _renew_one(session: Session, kept: Kept) -> None:
    if not kept.may_be_renewed:
        return
    try:
        await write(session, kept, ui=None)
        kept.stale = ""
    except OwnerdError as error:
        kept.stale = error.id


async def write(session: Session, kept: Kept, *, ui: TokenUi | None) -> int:
    """Put the newest checkpoint in the place of what was read there; returns its size.

    Raises `Busy` when something else is there by now, `PinNeeded` without ``ui``, `StorageError`, `TokenError`.
    """
    newest = session.require_journal().newest or await session.store.checkpoint()
    if newest is None:
        raise NotFound("the ledger has no checkpoint yet")
    size, note = newest
    if kept.note == note:
        return size
    if kept.place.kind == "file":
        await session.heads.swap(kept.place.where, note, kept.note)
    else:
        credential = session.require_vault().enrolled[kept.place.where].credential
        await session.tokens.write_head(credential, note, kept.note, ui=ui)
    kept.note, kept.problem, kept.written = note, "", True
    return size


# -- the log's keys --


async def _all_keys(store: StorePort) -> LogKeys:
    """Every key that the log ever had, from its entries."""
    keys = LogKeys(None)
    start = 0
    while leaves := await store.leaves(start, _READ_AT_ONCE):
        for seq, raw in enumerate(leaves, start):
            # Looking is much cheaper than parsing; what merely looks alike is sorted out by parsing.
            if seq == 0 or b'"key-rotated"' in raw or b'"restored"' in raw:
                _follow(keys, seq, parse_leaf(raw))
        start += len(leaves)
    return keys


def _follow(keys: LogKeys, seq: int, leaf: Leaf) -> None:
    core = leaf.core
    if core.kind is Kind.GENESIS:
        keys.begin(core.facts)
    elif core.kind in (Kind.KEY_ROTATED, Kind.RESTORED) and core.facts:
        keys.rotate(seq, core.facts, core.log)
