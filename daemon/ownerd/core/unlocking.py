"""Unlock: how a touch opens the vault, and what must hold before anything is disclosed.

Order: (1) the vault's digest is the one that the last entry names (`Journal.load`); (2) a touch yields the
slot secret; (3) every record opens; (4) genesis, or the newest rotation, names the keys in the vault; (5) the newest
checkpoint is signed by the log key and its root is the tree's; (6) entries after it are of kinds that may be
written while locked; (7) every head kept elsewhere that can be reached is of this history. Only then is the ``unlocked``
entry appended and the vault open.
"""

from __future__ import annotations

import asyncio

from ownerd.core import anchoring, grants
from ownerd.core import keyslot as keyslots
from ownerd.core.anchoring import Kept
from ownerd.core.desk import Act
from ownerd.core.journal import Journal, LogKeys, keys_leaf
from ownerd.core.session import Session
from ownerd.core.vault import Vault
from ownerd.ledger import entry as codec
from ownerd.ledger.anchor import claimed_sizes
from ownerd.ledger.facts import MAY_BE_UNSIGNED
from ownerd.ledger.merkle import roots_at
from ownerd.ledger.note import open_note, parse_checkpoint, parse_verifier_key
from ownerd.model.encoding import Json
from ownerd.model.errors import Tampered
from ownerd.model.names import Kind


async def unlock(session: Session, act: Act) -> None:
    """Open the vault with one touch; nothing happens when it is open."""
    journal = session.require_journal()
    if session.unlocked.is_set():
        return
    async with session.desk.turn(act):
        if session.vault is not None:
            return
        enrolled = await session.keyslots()
        keyslot = await session.locate(act, enrolled)
        statement: Json = {"v": 1, "kind": Kind.UNLOCKED.value, "token": keyslot.id}
        draft = journal.draft(Kind.UNLOCKED, {"statement": statement})
        answer = await session.touch(act, keyslot, draft.challenge, [keyslot.slot.handle])
        vault_key = keyslots.open_vault_key(keyslot, answer.secrets[0])
        vault = Vault(vault_key, keyslot.generation, session.rng)
        vault.apply(await session.store.records(), ())
        kept = await verify_tail(session, journal, vault, keyslot.id)
        uses = await grants.read_uses(session.store, vault.grants.values())
        seen = anchoring.seen_records(vault, kept, journal.now_ms())
        await journal.append(
            draft, approval=answer.approval, renew=log_keys(vault), put=seen, apply=vault.apply
        )
        session.vault, session.unlocked_by, session.uses = vault, keyslot.credential, uses
        session.unlocked.set()
        anchoring.renew_soon(session, kept)


def log_keys(vault: Vault) -> LogKeys:
    """The keys that the journal signs and seals with once the vault is open."""
    return LogKeys(vault.log_key, vault.opening_key.public_key())


async def verify_tail(session: Session, journal: Journal, vault: Vault, *present: str) -> list[Kept]:
    """Steps 4 to 7 of the module docstring; returns what was found where heads are kept, on the ``present`` tokens too.

    Raises `Tampered`, `BadSignature`, `Malformed`; `RolledBack`, `Forked`, `BadHead`.
    """
    facts = log_keys(vault).facts(journal.origin)
    store = session.store
    leaf, newest, hashes, kept = await asyncio.gather(
        keys_leaf(store), store.checkpoint(), store.leaf_hashes(), anchoring.read_all(session, vault, present)
    )
    if leaf.core.facts != facts:
        raise Tampered("the ledger names other keys than the vault holds")
    if newest is None:
        raise Tampered("the ledger has no checkpoint")
    text = open_note(newest[1], parse_verifier_key(facts["verifier_key"]))
    signed = parse_checkpoint(text)
    size = signed.size
    if signed.origin != journal.origin or size != newest[0] or size > len(hashes):
        raise Tampered("the newest checkpoint is not of this ledger, or entries are missing")
    roots = roots_at(hashes, {size, *claimed_sizes(anchoring.notes(kept))})
    if roots[size] != signed.root:
        raise Tampered("the entries are not those that the newest checkpoint signs")
    for raw in await store.leaves(size, len(hashes) - size) if size < len(hashes) else ():
        if codec.parse_leaf(raw).core.kind not in MAY_BE_UNSIGNED:
            raise Tampered("an entry without a checkpoint is of a kind that needs one")
    tree = anchoring.Tree(len(hashes), size, roots)
    await anchoring.judge_all(session, vault, kept, leaf=leaf, tree=tree)
    anchoring.require_agreement(kept)
    return kept
