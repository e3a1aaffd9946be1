"""The journal: the only writer of the ledger, and so of the vault.

Each change of the vault, its ledger entry and the signed checkpoint go into one durable transaction
(DESIGN section 4, step 10). An entry is drafted first, because a touch signs its core: log id, nonce, the
tree's size and root at that moment, every commitment. Other entries may be appended before the touch
comes; the ledger's rules allow that for `ownerd.ledger.entry` bounds and no longer.

While locked there is no log key: entries are appended without a checkpoint, and the next unlock signs
over them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from msgspec import Struct
from msgspec.structs import replace

from ownerd.core.keys_record import LOG_KEYS, parse_keys_record
from ownerd.core.ports import Batch, Clock, EntryRow, Record, Rng, StorePort
from ownerd.core.vault_index import RecordKey, VaultIndex
from ownerd.ledger import entry as codec
from ownerd.ledger.entry import Leaf, LeafCore
from ownerd.ledger.merkle import Frontier, leaf_hash
from ownerd.ledger.note import format_checkpoint, format_verifier_key, sign_note
from ownerd.ledger.opening import OpeningValue, seal_opening
from ownerd.model.clock import format_time, parse_time
from ownerd.model.encoding import Json, format_b64u, parse_b64u
from ownerd.model.errors import Busy, Locked, OwnerdError, Tampered
from ownerd.model.names import Kind
from ownerd.model.token import Approval

SALT_BYTES: Final = 16
NOTE_SECONDS: Final = 0.05


class Draft(Struct, frozen=True):
    """An entry that may come to be: its core, and the salted values behind the core's commitments."""

    core: LeafCore
    values: dict[str, OpeningValue]

    @property
    def challenge(self) -> bytes:
        """What a touch signs, 32 bytes."""
        return codec.challenge(self.core)


class Tree(Struct, frozen=True):
    """A log as far as an entry is made over it: its id, size and root."""

    log_id: str
    size: int
    root: bytes


class LogKeys(Struct, frozen=True):
    """The log's signing key, and the public key that openings are sealed to."""

    log: Ed25519PrivateKey
    opening: X25519PublicKey

    def facts(self, origin: str) -> dict[str, Json]:
        """What the entry says in clear that brings these keys into force: genesis, or a rotation."""
        return {
            "verifier_key": format_verifier_key(origin, self.log.public_key()),
            "opening_key": format_b64u(self.opening.public_bytes_raw()),
        }


class _Change(Struct, frozen=True):
    """What an entry changes besides the ledger's length: `Journal.append` has the words."""

    put: Sequence[Record] | Callable[[int], Sequence[Record]]
    delete: tuple[RecordKey, ...]
    erase: tuple[int, ...]
    apply: Callable[[Sequence[Record], Sequence[RecordKey]], None] | None
    renew: LogKeys | None


class _Note(Struct, frozen=True, eq=False):
    draft: Draft
    written: asyncio.Future[None]

    def done(self) -> None:
        if not self.written.done():
            self.written.set_result(None)

    def fail(self, error: OwnerdError) -> None:
        if not self.written.done():
            self.written.set_exception(error)


class Journal:
    """Ledger tail and its append. One per process."""

    def __init__(self, store: StorePort, clock: Clock, rng: Rng, log_id: str) -> None:
        self._store = store
        self._clock = clock
        self._rng = rng
        self._lock = asyncio.Lock()
        self.log_id = log_id
        self.index = VaultIndex()
        self.newest: tuple[int, bytes] | None = None  # the last (size, note) that this process signed
        self._frontier = Frontier()
        self._last_ms = 0
        self._held: list[EntryRow] = []
        self._noted: list[_Note] = []
        self._noting: asyncio.Future[None] | None = None
        self._opening_key: X25519PublicKey | None = None
        self._log_key: Ed25519PrivateKey | None = None

    @classmethod
    async def load(cls, store: StorePort, clock: Clock, rng: Rng) -> Journal:
        """Read the tail of an existing ledger. Raises `Tampered`, `StorageError`."""
        hashes = await store.leaf_hashes()
        first = codec.parse_leaf((await store.leaves(0, 1))[0])
        last = codec.parse_leaf((await store.leaves(len(hashes) - 1, 1))[0])
        journal = cls(store, clock, rng, first.core.log)
        journal.index = VaultIndex(await store.records())
        journal._frontier = Frontier.from_leaf_hashes(hashes)
        # An entry is younger than all that it was drafted over; what came between its draft and its place may be
        # younger still.
        between = await store.leaves(last.core.size, max(0, len(hashes) - 1 - last.core.size))
        times = [last.core.time, *(codec.parse_leaf(leaf).core.time for leaf in between)]
        journal._last_ms = max(map(parse_time, times))
        journal._opening_key = await _opening_key(store)
        if (last.vault_generation, last.vault_digest) != (journal.index.generation, journal.index.digest):
            raise Tampered("the vault is not the one that the last ledger entry names")
        return journal

    @property
    def size(self) -> int:
        """Number of entries, held ones included."""
        return self._frontier.size

    @property
    def origin(self) -> str:
        """Origin line and key name of the log (C2SP tlog-checkpoint)."""
        return codec.origin(self.log_id)

    def now_ms(self) -> int:
        """What an entry made now says: the wall clock, but never before the last entry."""
        return max(self._clock.now_ms(), self._last_ms)

    @property
    def has_keys(self) -> bool:
        """Whether checkpoints are signed: from set-up, unlock or recovery on."""
        return self._log_key is not None

    def use_keys(self, log_key: Ed25519PrivateKey, opening_key: X25519PublicKey) -> None:
        """Sign checkpoints from now on."""
        self._log_key = log_key
        self._opening_key = opening_key

    def draft(self, kind: Kind, values: Mapping[str, Json], facts: Mapping[str, Json] | None = None) -> Draft:
        """Begin an entry over the tree as it is now, with fresh salts and nonce."""
        tree = Tree(self.log_id, self._frontier.size, self._frontier.root())
        return make_draft(tree, self.now_ms(), kind, values, facts, self._rng)

    def hold_genesis(self, facts: Mapping[str, Json]) -> None:
        """Make entry 0; it is written together with the next one, so that no half set-up is ever stored."""
        draft = self.draft(Kind.GENESIS, {}, facts)
        row = self._row(0, draft, None, {}, self.index)
        self._held.append(row)
        self._frontier.append(leaf_hash(row.leaf))

    async def append_soon(self, draft: Draft) -> None:
        """Append an entry that nothing waits for, in one transaction with the next one, or a moment later.

        A crash in that moment loses it, so it is for what is true without its entry: that an answer was
        delivered. Returns once it is durable. Raises `StorageError`.
        """
        note = _Note(draft, asyncio.get_running_loop().create_future())
        self._noted.append(note)
        if self._noting is None:
            self._noting = asyncio.ensure_future(self._write_noted())
        await asyncio.shield(note.written)

    async def _write_noted(self) -> None:
        await asyncio.sleep(NOTE_SECONDS)
        self._noting = None
        if not self._noted:
            return
        last = self._noted.pop()
        try:
            await self.append(last.draft)
        except OwnerdError as error:
            last.fail(error)
            while self._noted:
                self._noted.pop().fail(error)
        else:
            last.done()

    async def append(
        self,
        draft: Draft,
        *,
        approval: Approval | None = None,
        outcome: Mapping[str, Json] | None = None,
        put: Sequence[Record] | Callable[[int], Sequence[Record]] = (),
        delete: Sequence[RecordKey] = (),
        apply: Callable[[Sequence[Record], Sequence[RecordKey]], None] | None = None,
        renew: LogKeys | None = None,
        erase: Sequence[int] = (),
    ) -> int:
        """Make the entry durable, together with the vault's change, and return its sequence number.

        ``put`` may be a function of that number; ``apply`` takes the change into memory, in the same step as
        the commit, so that a caller who is cancelled leaves both alike. With ``renew`` the checkpoint over this
        entry and everything after it is made with these keys. ``erase`` are entries whose openings are destroyed
        with it. Raises `StorageError`, `Busy`; then nothing has happened. Once begun it is carried to its end,
        even when the caller is cancelled.
        """
        if (put or delete or erase) and self._log_key is None and renew is None:
            raise Locked("the vault is locked")
        change = _Change(put, tuple(delete), tuple(erase), apply, renew)
        work = self._append(draft, approval, self._salted(outcome or {}), change)
        return await asyncio.shield(work)

    async def _append(
        self,
        draft: Draft,
        approval: Approval | None,
        outcome: dict[str, OpeningValue],
        change: _Change,
    ) -> int:
        async with self._lock:
            if self._frontier.size - draft.core.size > codec.MAX_LAG:
                raise Busy("the ledger has grown too far since this was shown")
            seq = self._frontier.size + len(self._noted)
            put = tuple(change.put(seq) if callable(change.put) else change.put)
            delete, renew = change.delete, change.renew
            if renew is None and any(record.generation < self.index.generation for record in put):
                # Sealed before the keys were renewed: nobody could open it any more.
                raise Busy("the vault's keys were renewed meanwhile; ask again")
            index = self.index.after(put, delete)
            frontier = self._frontier.copy()
            # What was noted was drafted before this, and stands before it, under the vault as it was.
            noted, self._noted = self._noted, []
            try:
                rows = [
                    self._row(self._frontier.size + place, one.draft, None, {}, self.index)
                    for place, one in enumerate(noted)
                ]
                rows.append(self._row(seq, draft, approval, outcome, index))
                for place, row in enumerate(rows[:-1]):
                    frontier.append(leaf_hash(row.leaf))
                    rows[place] = replace(row, checkpoint=self._signed(frontier, self._log_key))
                frontier.append(leaf_hash(rows[-1].leaf))
                note = self._signed(frontier, renew.log if renew else self._log_key)
                checkpoint = None if note is None else (frontier.size, note)
                await self._store.commit(Batch((*self._held, *rows), checkpoint, put, delete, change.erase))
            except BaseException:
                self._noted = noted + self._noted
                raise
            self._held.clear()
            for one in noted:
                one.done()
            if renew:
                self.use_keys(renew.log, renew.opening)
            if change.apply:
                change.apply(put, delete)
            self.newest = checkpoint or self.newest
            self._frontier, self.index = frontier, index
            drafts = (*(one.draft for one in noted), draft)
            self._last_ms = max(self._last_ms, *(parse_time(one.core.time) for one in drafts))
            return seq

    def _signed(self, tree: Frontier, key: Ed25519PrivateKey | None) -> bytes | None:
        """A checkpoint over ``tree``, or None while there is no key."""
        if key is None:
            return None
        return sign_note(format_checkpoint(self.origin, tree.size, tree.root()), self.origin, key)

    def _row(
        self,
        seq: int,
        draft: Draft,
        approval: Approval | None,
        outcome: dict[str, OpeningValue],
        index: VaultIndex,
    ) -> EntryRow:
        values = draft.values | outcome
        sealed = None
        if values and self._opening_key is not None:
            sealed = seal_opening(values, draft.core, self._opening_key, self._rng)
        leaf = Leaf(
            core=draft.core,
            approval=approval,
            outcome=_commitments(outcome),
            vault_generation=index.generation,
            vault_digest=index.digest,
            opening=sealed.digest if sealed else None,
        )
        encoded = codec.format_leaf(leaf)
        if sealed is None:
            return EntryRow(seq, encoded)
        return EntryRow(seq, encoded, sealed.wrapped_key, sealed.ciphertext)

    def _salted(self, values: Mapping[str, Json]) -> dict[str, OpeningValue]:
        return _salt(values, self._rng)


def make_draft(
    tree: Tree,
    now_ms: int,
    kind: Kind,
    values: Mapping[str, Json],
    facts: Mapping[str, Json] | None,
    rng: Rng,
) -> Draft:
    """Begin an entry over ``tree``, with fresh salts and nonce."""
    salted = _salt(values, rng)
    core = LeafCore(
        log=tree.log_id,
        time=format_time(now_ms),
        kind=kind,
        nonce=rng(SALT_BYTES),
        size=tree.size,
        root=tree.root,
        commitments=_commitments(salted),
        facts=dict(facts or {}),
    )
    return Draft(core, salted)


def _salt(values: Mapping[str, Json], rng: Rng) -> dict[str, OpeningValue]:
    return {label: OpeningValue(rng(SALT_BYTES), value) for label, value in values.items()}


async def keys_leaf(store: StorePort) -> Leaf:
    """The entry that names the log's keys in force: genesis, or the newest rotation."""
    records = await store.records(LOG_KEYS)
    entry = parse_keys_record(records[0]) if records else 0
    leaves = await store.leaves(entry, 1)
    if not leaves:
        raise Tampered("the entry that names the log's keys is missing")
    leaf = codec.parse_leaf(leaves[0])
    if leaf.core.kind not in (Kind.GENESIS, Kind.KEY_ROTATED, Kind.RESTORED):
        raise Tampered("the entry that should name the log's keys is of another kind")
    return leaf


async def _opening_key(store: StorePort) -> X25519PublicKey:
    facts = (await keys_leaf(store)).core.facts
    return X25519PublicKey.from_public_bytes(parse_b64u(facts["opening_key"]))


def _commitments(values: Mapping[str, OpeningValue]) -> dict[str, bytes]:
    return {label: codec.commit(label, value.salt, value.value) for label, value in values.items()}
