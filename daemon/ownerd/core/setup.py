"""Set-up: the first token, the vault's keys and the ledger's first two entries, in one transaction."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from ownerd.core import enrolment, seal
from ownerd.core import keyslot as keyslots
from ownerd.core.desk import Act
from ownerd.core.enrolment import Choice
from ownerd.core.journal import Journal
from ownerd.core.new_keys import make_new_keys
from ownerd.core.session import Session
from ownerd.core.vault import LOG_KEY, OPENING_KEY, Vault
from ownerd.ledger.facts import format_token
from ownerd.model.errors import NotAllowed
from ownerd.model.names import Kind
from ownerd.model.secret import Secret
from ownerd.model.token import TokenCredential

FIRST_GENERATION: Final = 1
LOG_ID_BYTES: Final = 16


async def set_up(session: Session, act: Act, choice: Choice) -> tuple[int, str, TokenCredential]:
    """Enrol the first token (two touches) and make the vault in one transaction.

    Returns (entry, verifier key of the log, token). Raises `NotAllowed` when there is a vault.
    """
    async with session.desk.turn(act):
        if session.journal is not None or await session.store.exists():
            raise NotAllowed("there is a vault already")
        rng = session.rng
        credential = await enrolment.make_credential(session, act, choice, ())

        vault_key = Secret(rng(seal.KEY_BYTES))
        new = make_new_keys(rng)
        journal = Journal(session.store, session.clock, rng, rng(LOG_ID_BYTES).hex())
        keys = new.keys
        facts = keys.facts(journal.origin)
        journal.use_keys(keys.log, keys.opening)
        journal.hold_genesis(facts)

        vault = Vault(vault_key, FIRST_GENERATION, rng)
        draft = journal.draft(Kind.TOKEN_ENROLLED, {}, {"token": format_token(credential)})
        keyslot, answer = await enrolment.prove(session, act, credential, draft.challenge, vault)
        log_key, opening_key = new.private
        put = [
            keyslots.format_keyslot(replace(keyslot, since=1)),
            vault.system_record(LOG_KEY, log_key),
            vault.system_record(OPENING_KEY, opening_key),
        ]
        entry = await journal.append(draft, approval=answer.approval, put=put, apply=vault.apply)
        session.journal, session.vault, session.unlocked_by = journal, vault, credential
        session.unlocked.set()
        return entry, str(facts["verifier_key"]), credential
