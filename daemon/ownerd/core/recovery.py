"""The recovery code in use: make one, and get back in with it (DESIGN section 5).

A code is approved by a touch, shown once in the daemon's own prompt, and proven by typing part of it back
before anything is stored. It opens everything and serves to enrol a token; the vault is not left open.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from msgspec.structs import replace

from ownerd.core import enrolment, provider_keys
from ownerd.core import keyslot as keyslots
from ownerd.core import recovery_code as codes
from ownerd.core.desk import Act
from ownerd.core.enrolment import Choice
from ownerd.core.keyslot import Keyslot
from ownerd.core.ports import Record
from ownerd.core.recovery_code import RecoveryKeys, RecoverySlot
from ownerd.core.session import Session
from ownerd.core.statement import Statement, app_label, statement_values, token_statement
from ownerd.core.unlocking import log_keys, verify_tail
from ownerd.core.vault import Vault
from ownerd.ledger.approval import recovery_message
from ownerd.ledger.facts import format_token
from ownerd.model.encoding import Json, format_b64u
from ownerd.model.errors import Dismissed, InvalidArgument, NotAllowed, NotFound
from ownerd.model.names import Kind
from ownerd.model.secret import Secret
from ownerd.model.token import RecoveryApproval

TRIES: Final = 3
NO_TOKEN: Final[dict[str, Json]] = {"id": codes.ID, "name": "recovery code", "software": False}


async def make(session: Session, act: Act, tool: str) -> dict[str, Json]:
    """Make or replace the recovery code: one touch, then it is shown and typed back."""
    vault, journal = session.require_vault(), session.require_journal()
    statement = token_statement("recovery-set", act.caller, tool, NO_TOKEN)
    async with session.desk.turn(act):
        await session.agree(act, statement, "Make")
        approver = await session.locate(act, vault.keyslots)
        code = codes.new_code(session.rng)
        slot = codes.make_slot(code, vault.root, vault.generation, since=0)
        values = statement_values(statement, act.caller)
        facts: dict[str, Json] = {"public_key": format_b64u(slot.verify)}
        draft = journal.draft(Kind.RECOVERY_SET, values, facts)
        answer = await session.touch(act, approver, draft.challenge, [])
        await _show(session, act, code)
        # Copies for an older code are of no use to this one; each provider's next use makes a new one.
        stale = [(provider_keys.KIND, key) for key, copy in vault.copies.items() if copy.token_id == codes.ID]
        entry = await journal.append(
            draft,
            approval=answer.approval,
            put=lambda seq: [codes.format_slot(replace(slot, since=seq))],
            delete=stale,
            apply=vault.apply,
        )
    return {"entry": entry}


async def _show(session: Session, act: Act, code: Secret) -> None:
    """Show the code once, and let the owner type two of its groups back."""
    lines = [
        "Your recovery code. Write it on paper and keep it away from this computer:",
        "",
        f"  {codes.format_code(code)}",
        "",
        "It is not shown again.",
    ]
    await session.desk.say(act, "\n".join(lines), "Written down")
    groups = codes.groups(code)
    one, step = session.rng(2)
    other = one + 1 + step % (len(groups) - 1)
    first, second = sorted(number % len(groups) for number in (one, other))
    question = f"Type groups {first + 1} and {second + 1} of the code, from your paper."
    for _ in range(TRIES):
        with suppress(InvalidArgument):  # too short or too long to be any
            if codes.same_groups(await session.desk.ask(act, question), groups[first] + groups[second]):
                return
        question = f"That was not it. Type groups {first + 1} and {second + 1} of the code, from your paper."
    raise Dismissed("the code was not typed back; nothing is changed")


async def recover(session: Session, act: Act, tool: str, choice: Choice) -> dict[str, Json]:
    """Enrol a token with the recovery code. The vault is not left open.

    Raises `InvalidArgument` for a mistyped code, `NotAllowed` for a wrong one, `NotFound` where none is set.
    """
    journal = session.require_journal()
    chosen = await enrolment.require_present(session, choice.token_id)
    info: dict[str, Json] = {"id": chosen.id, "name": chosen.name, "software": chosen.software}
    statement = token_statement("token-enrolled", act.caller, tool, info)
    async with session.desk.turn(act):
        if session.vault is not None:
            raise NotAllowed("the vault is open; enrol the token with the one that opened it")
        slot = await require_slot(session)
        keys = await ask_code(session, act)
        vault = await _open(session, slot, keys)
        await verify_tail(session, journal, vault)
        await _unlock(session, act, keys, vault)
        await session.agree(act, statement, "Enrol")
        keyslot, entry = await _enrol(session, act, choice, keys, vault, statement)
    return {"entry": entry, "token": enrolment.shown(keyslot.credential)}


async def ask_code(session: Session, act: Act) -> RecoveryKeys:
    """Let the owner type the code. Raises `InvalidArgument` for a mistyped one."""
    typed = (await _type(session, act)).reveal().decode("utf-8", "replace")
    return codes.derive_keys(codes.parse_code(typed))


async def enrol_with(
    session: Session, act: Act, choice: Choice, keys: RecoveryKeys, vault: Vault, statement: Statement
) -> tuple[Keyslot, int]:
    """Enrol a token by a code that was judged, in a vault that was: ``statement`` was confirmed already."""
    slot = await require_slot(session)
    if keys.signing.public_key().public_bytes_raw() != slot.verify:
        raise NotAllowed("this is not the recovery code of this vault")
    await _unlock(session, act, keys, vault)
    return await _enrol(session, act, choice, keys, vault, statement)


async def _unlock(session: Session, act: Act, keys: RecoveryKeys, vault: Vault) -> None:
    journal = session.require_journal()
    opened = journal.draft(Kind.UNLOCKED, {"app": app_label(act.caller)})
    await journal.append(opened, approval=_sign(keys, opened.challenge), renew=log_keys(vault))


async def _enrol(
    session: Session, act: Act, choice: Choice, keys: RecoveryKeys, vault: Vault, statement: Statement
) -> tuple[Keyslot, int]:
    journal = session.require_journal()
    credential = await enrolment.make_credential(session, act, choice, vault.enrolled.values())
    values = statement_values(statement, act.caller)
    draft = journal.draft(Kind.TOKEN_ENROLLED, values, {"token": format_token(credential)})
    keyslot, _ = await enrolment.prove(session, act, credential, draft.challenge, vault)
    copies = _copies(vault, keyslot, keys)
    entry = await journal.append(
        draft,
        approval=_sign(keys, draft.challenge),
        put=lambda seq: [keyslots.format_keyslot(replace(keyslot, since=seq)), *copies],
    )
    return keyslot, entry


async def require_slot(session: Session) -> RecoverySlot:
    """What the code opens. Raises `NotFound` where none is set."""
    records = await session.store.records(codes.KIND)
    if not records:
        raise NotFound("no recovery code is set")
    return codes.parse_slot(records[0])


async def _type(session: Session, act: Act) -> Secret:
    return await session.desk.ask(
        act, "Type your recovery code (28 letters and digits; dashes do not matter)."
    )


async def _open(session: Session, slot: RecoverySlot, keys: RecoveryKeys) -> Vault:
    if keys.signing.public_key().public_bytes_raw() != slot.verify:
        raise NotAllowed("this is not the recovery code of this vault")
    vault = Vault(codes.open_vault_key(slot, keys), slot.generation, session.rng)
    vault.apply(await session.store.records(), ())
    return vault


def _copies(vault: Vault, keyslot: keyslots.Keyslot, keys: RecoveryKeys) -> list[Record]:
    """Every provider's key that waits under the recovery key, sealed to the new token's transfer key."""
    made = []
    for copy in vault.copies.values():
        if copy.token_id == codes.ID:
            key = provider_keys.open_transfer(copy, keys.private)
            again = provider_keys.copy_transfer(copy.provider_id, keyslot.id, keyslot.transfer.public, key)
            made.append(vault.copy_record(again))
    return made


def _sign(keys: RecoveryKeys, challenge: bytes) -> RecoveryApproval:
    return RecoveryApproval(keys.signing.sign(recovery_message(challenge)))
