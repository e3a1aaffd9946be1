"""Several tokens: enrol another, name, test, remove (DESIGN section 5).

Any enrolled token opens the vault and uses every provider's key, but one that only signs: that approves what
needs no secret of a token, and is no way in. Ways in are made and ended by tokens that open. Removing one renews
vault, log and opening keys without a touch per provider; the last way in cannot be removed. Copies of the files
from before still open with a removed token.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from ownerd.core import anchor_places, provider_keys, recovery_code
from ownerd.core import keyslot as keyslots
from ownerd.core.desk import Act
from ownerd.core.keyslot import Approver, Enrolled, Keyslot
from ownerd.core.new_keys import make_new_keys
from ownerd.core.ports import Record
from ownerd.core.session import DeskUi, Session
from ownerd.core.statement import statement_values, token_statement
from ownerd.core.vault import Vault
from ownerd.ledger.facts import format_token
from ownerd.model.encoding import Json
from ownerd.model.errors import InvalidArgument, NotAllowed, NotFound
from ownerd.model.names import Kind
from ownerd.model.token import CurveName, TokenAnswer, TokenCredential, TokenInfo

MAX_TOKENS: Final = 16
MAX_NAME_CHARS: Final = 60


class Choice(Struct, frozen=True):
    """The present token to enrol, in which mode, and the curve on which its keys are made first, if at all."""

    token_id: str
    user_verification: bool
    make_keys: CurveName | None = None


def parse_choice(members: dict[str, Json]) -> Choice:
    """Read ``token``, ``user_verification`` and ``make_keys`` of a tool's message. Raises `InvalidArgument`."""
    token, verified, curve = (members.get(name) for name in ("token", "user_verification", "make_keys"))
    if not isinstance(token, str) or not isinstance(verified, bool):
        raise InvalidArgument("the message names no token or no mode")
    if curve not in (None, "P-256", "P-384"):
        raise InvalidArgument("keys are made on P-256 or P-384")
    return Choice(token, verified, curve)


def shown(credential: TokenCredential) -> dict[str, Json]:
    """A token as answers and statements name it."""
    return {"id": credential.id, "name": credential.name, "software": credential.software}


async def add(session: Session, act: Act, tool: str, choice: Choice, *, name: str | None) -> dict[str, Json]:
    """Enrol another token: two acts on it, then one on an enrolled token, which approves it."""
    vault, journal = session.require_vault(), session.require_journal()
    if len(vault.enrolled) >= MAX_TOKENS:
        raise NotAllowed(f"{MAX_TOKENS} tokens are enrolled already")
    if name:
        _require_name(name)
    chosen = await require_present(session, choice.token_id)
    info: dict[str, Json] = {"id": chosen.id, "name": name or chosen.name, "software": chosen.software}
    statement = token_statement("token-enrolled", act.caller, tool, info)
    async with session.desk.turn(act):
        session.require_same(vault)
        await session.agree(act, statement, "Enrol")
        credential = await make_credential(session, act, choice, vault.enrolled.values())
        if credential.id in vault.enrolled:
            raise NotAllowed("the token is enrolled already")
        credential = replace(credential, name=name or credential.name)
        if not credential.opens:  # which the token says only now: the owner decides on that
            statement = token_statement("token-enrolled", act.caller, tool, info, opens=False)
            await session.agree(act, statement, "Enrol")
        values = statement_values(statement, act.caller)
        draft = journal.draft(Kind.TOKEN_ENROLLED, values, {"token": format_token(credential)})
        slot: Enrolled
        if credential.opens:
            slot, _ = await prove(session, act, credential, draft.challenge, vault)
        else:
            slot = Approver(credential)
            await session.touch(act, slot, draft.challenge, [])
        approver = await session.locate(act, vault.keyslots)
        answer = await session.touch(act, approver, draft.challenge, [])
        entry = await journal.append(
            draft,
            approval=answer.approval,
            put=lambda seq: [vault.token_record(replace(slot, since=seq))],
            apply=vault.apply,
        )
    return {"entry": entry, "token": {**shown(credential), "opens": credential.opens}}


async def require_present(session: Session, token_id: str) -> TokenInfo:
    """Return what is known of a token that is present. Raises `NotFound`."""
    for info in await session.tokens.present():
        if info.id == token_id:
            return info
    raise NotFound("no such token is present")


async def make_credential(
    session: Session, act: Act, choice: Choice, enrolled: Iterable[Enrolled]
) -> TokenCredential:
    """Make the credential on a token, which may be one that only signs; its keys first, where that was chosen.

    Keys of tokens that are ``enrolled`` are not replaced: `NotAllowed`.
    """
    async with session.desk.touch(act) as needed:
        ui = DeskUi(session.desk, act, needed)
        if choice.make_keys is not None:
            keep = [token.credential for token in enrolled]
            await session.tokens.make_keys(choice.token_id, choice.make_keys, keep=keep, ui=ui)
        return await session.tokens.enrol(choice.token_id, user_verification=choice.user_verification, ui=ui)


async def prove(
    session: Session, act: Act, credential: TokenCredential, challenge: bytes, vault: Vault
) -> tuple[Keyslot, TokenAnswer]:
    """Let a new token yield its secrets in the mode of use; returns its keyslot, and what it signed.

    Raises `Unsupported` for one that only signs, before it is asked for anything.
    """
    handles = keyslots.new_handles(credential, session.rng)
    async with session.desk.touch(act) as needed:
        ui = DeskUi(session.desk, act, needed)
        answer = await session.tokens.approve(credential, challenge, handles, ui=ui)
    secrets = (answer.secrets[0], answer.secrets[1])
    keyslot = keyslots.make_keyslot(
        credential, handles, secrets, vault.root, vault.generation, session.rng, since=0
    )
    return keyslot, answer


async def rename(session: Session, act: Act, tool: str, token_id: str, name: str) -> dict[str, Json]:
    """Give an enrolled token another name: one touch."""
    vault, journal = session.require_vault(), session.require_journal()
    token = _enrolled(vault, token_id)
    named = replace(token, credential=replace(token.credential, name=_require_name(name)))
    statement = token_statement("token-named", act.caller, tool, shown(token.credential), name=name)
    async with session.desk.turn(act):
        session.require_same(vault)
        await session.agree(act, statement, "Yes, rename")
        approver = await session.locate(act, vault.enrolled)
        values = statement_values(statement, act.caller)
        draft = journal.draft(Kind.OWNER_CHANGE, values)
        answer = await session.touch(act, approver, draft.challenge, [])
        put = [vault.token_record(named)]
        entry = await journal.append(draft, approval=answer.approval, put=put, apply=vault.apply)
    return {"entry": entry}


async def test(session: Session, act: Act, tool: str, token_id: str) -> dict[str, Json]:
    """Let one token show that it opens the vault, or signs where it does no more: a touch on that very token."""
    vault, journal = session.require_vault(), session.require_journal()
    token = _enrolled(vault, token_id)
    statement = token_statement(
        "token-tested", act.caller, tool, shown(token.credential), **_only_signs(token)
    )
    handles = [token.slot.handle] if isinstance(token, Keyslot) else []
    act.purpose = "test that it opens the vault" if handles else "test that it signs"
    async with session.desk.turn(act):
        session.require_same(vault)
        await session.agree(act, statement, "Test")
        present = await session.locate(act, {token.id: token})
        values = statement_values(statement, act.caller)
        draft = journal.draft(Kind.OWNER_READ, values)
        answer = await session.touch(act, present, draft.challenge, handles)
        opens = isinstance(token, Keyslot) and keyslots.open_vault_key(token, answer.secrets[0]) == vault.root
        await journal.append(draft, approval=answer.approval)
    return {"id": token_id, "opens": opens}


async def remove(session: Session, act: Act, tool: str, token_id: str) -> dict[str, Json]:
    """Remove a token and renew the keys: two touches of a token that opens and stays.

    One that only signs has had no key: it takes one touch. Raises `NotAllowed` for the last way in.
    """
    vault, journal = session.require_vault(), session.require_journal()
    token = _enrolled(vault, token_id)
    staying = {one.id: one for one in vault.keyslots.values() if one.id != token_id}
    if not staying:
        raise NotAllowed("this is the last token that opens the vault; enrol another first")
    if not token.credential.opens:
        act.purpose = "remove a token that only signs"
    statement = token_statement(
        "token-removed", act.caller, tool, shown(token.credential), **_only_signs(token)
    )
    values = statement_values(statement, act.caller)
    async with session.desk.turn(act):
        session.require_same(vault)
        await session.agree(act, statement, "Yes, remove")
        approver = await session.locate(act, staying)
        draft = journal.draft(Kind.TOKEN_REMOVED, values, {"token": token_id})
        answer = await session.touch(act, approver, draft.challenge, [])
        gone = [(keyslots.KIND if token.credential.opens else keyslots.APPROVER, token_id)]
        gone += [(provider_keys.KIND, copy) for copy in vault.copies if copy.endswith(f"/{token_id}")]
        gone += [(anchor_places.KIND, one.id) for one in vault.places.values() if one.where == token_id]
        entry = await journal.append(draft, approval=answer.approval, delete=gone, apply=vault.apply)
        if not token.credential.opens:
            return {"entry": entry, "rotated": False}
        verifier_key = await rotate(session, act, approver, values)
    return {"entry": entry, "rotated": True, "verifier_key": verifier_key}


async def rotate(session: Session, act: Act, approver: Keyslot, values: dict[str, Json]) -> str:
    """Renew vault key, log key and opening key: one touch. Returns the log's new verifier key."""
    vault, journal = session.require_vault(), session.require_journal()
    new = make_new_keys(session.rng)
    facts = new.keys.facts(journal.origin)
    draft = journal.draft(Kind.KEY_ROTATED, values, facts)
    answer = await session.touch(act, approver, draft.challenge, [])

    records = await session.store.records()
    made: list[tuple[Vault, list[Record]]] = []

    def reseal(entry: int) -> list[Record]:
        made.append(vault.rotated(records, *new.private, entry))
        return made[-1][1]

    def take_over(put: Sequence[Record], delete: Sequence[tuple[str, str]]) -> None:
        later, _ = made[-1]
        later.apply(put, delete)
        session.vault = later

    await journal.append(draft, approval=answer.approval, put=reseal, apply=take_over, renew=new.keys)
    return str(facts["verifier_key"])


def listing(vault: Vault, present: Mapping[str, str]) -> dict[str, Json]:
    """Enrolled tokens, ``present`` ones with the id that they have here, and the recovery code."""
    with_copy = sum(1 for copy in vault.copies.values() if copy.token_id == recovery_code.ID)
    recovery = vault.recovery
    return {
        "tokens": [
            {
                **shown(one.credential),
                "type": one.credential.type,
                "since_entry": one.since,
                "user_verification": one.credential.user_verification,
                "opens": one.credential.opens,
                "present": one.id in present,
                "present_id": present.get(one.id),
            }
            for one in vault.enrolled.values()
        ],
        "recovery": None
        if recovery is None
        else {"since_entry": recovery.since, "providers": with_copy, "of": len(vault.providers)},
    }


def _enrolled(vault: Vault, token_id: str) -> Enrolled:
    try:
        return vault.enrolled[token_id]
    except KeyError as error:
        raise NotFound("no such token is enrolled") from error


def _only_signs(token: Enrolled) -> dict[str, Json]:
    """What a statement says besides of a token that only signs."""
    return {} if token.credential.opens else {"opens": False}


def _require_name(name: str) -> str:
    if not 0 < len(name) <= MAX_NAME_CHARS or not name.isprintable():
        raise InvalidArgument(f"a token's name has 1 to {MAX_NAME_CHARS} printable characters")
    return name
