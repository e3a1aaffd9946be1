"""Set-up: the first token, the vault's keys and the ledger's first two entries, in one transaction."""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ownerd.core import keyslot as keyslots
from ownerd.core import seal
from ownerd.core.desk import Act
from ownerd.core.journal import Journal
from ownerd.core.session import DeskUi, Session
from ownerd.core.vault import LOG_KEY, OPENING_KEY, Vault
from ownerd.ledger.facts import format_token
from ownerd.ledger.note import format_verifier_key
from ownerd.model.encoding import format_b64u
from ownerd.model.errors import NotAllowed
from ownerd.model.names import Kind
from ownerd.model.secret import Secret
from ownerd.model.token import TokenCredential

FIRST_GENERATION: Final = 1
LOG_ID_BYTES: Final = 16


async def set_up(
    session: Session, act: Act, token_id: str, *, user_verification: bool
) -> tuple[int, str, TokenCredential]:
    """Enrol the first token (two touches) and make the vault in one transaction.

    Returns (entry, verifier key of the log, token). Raises `NotAllowed` when there is a vault.
    """
    async with session.desk.turn(act):
        if session.journal is not None or await session.store.exists():
            raise NotAllowed("there is a vault already")
        rng = session.rng
        async with session.desk.touch(act) as needed:
            ui = DeskUi(session.desk, act, needed)
            credential = await session.tokens.enrol(token_id, user_verification=user_verification, ui=ui)

        vault_key = Secret(rng(seal.KEY_BYTES))
        log_key = Ed25519PrivateKey.from_private_bytes(rng(seal.KEY_BYTES))
        opening_key = X25519PrivateKey.from_private_bytes(rng(seal.KEY_BYTES))
        journal = Journal(session.store, session.clock, rng, rng(LOG_ID_BYTES).hex())
        journal.use_keys(log_key, opening_key.public_key())
        verifier_key = format_verifier_key(journal.origin, log_key.public_key())
        opening_public = format_b64u(seal.public_bytes(opening_key))
        journal.hold_genesis({"verifier_key": verifier_key, "opening_key": opening_public})

        draft = journal.draft(Kind.TOKEN_ENROLLED, {}, {"token": format_token(credential)})
        handles = keyslots.new_handles(credential, rng)
        async with session.desk.touch(act) as needed:
            ui = DeskUi(session.desk, act, needed)
            answer = await session.tokens.approve(credential, draft.challenge, handles, ui=ui)
        secrets = (answer.secrets[0], answer.secrets[1])
        keyslot = keyslots.make_keyslot(
            credential, handles, secrets, vault_key, FIRST_GENERATION, rng, since=1
        )

        vault = Vault(vault_key, FIRST_GENERATION, rng)
        put = [
            keyslots.format_keyslot(keyslot),
            vault.system_record(LOG_KEY, log_key.private_bytes_raw()),
            vault.system_record(OPENING_KEY, opening_key.private_bytes_raw()),
        ]
        entry = await journal.append(draft, approval=answer.approval, put=put, apply=vault.apply)
        session.journal, session.vault, session.unlocked_by = journal, vault, credential
        session.unlocked.set()
        return entry, verifier_key, credential
