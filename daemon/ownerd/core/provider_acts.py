"""What the owner does to a provider: list it, give it a new key, forget it."""

from __future__ import annotations

from msgspec.structs import replace

from ownerd.core import grants, known, provider_keys
from ownerd.core.desk import Act
from ownerd.core.holder import Holder, find_opening, key_copies
from ownerd.core.known import KnownProvider, Pin, provider_value
from ownerd.core.ports import Record
from ownerd.core.session import Session
from ownerd.core.statement import provider_statement, statement_values
from ownerd.core.vault import Vault
from ownerd.credential.did import did_jwk
from ownerd.credential.handover import finish_handover, prepare_handover
from ownerd.credential.jwe import public_members
from ownerd.model.encoding import Json
from ownerd.model.errors import NotFound
from ownerd.model.names import Kind, Progress


def listing(session: Session, vault: Vault, wanted: str | None) -> dict[str, Json]:
    """Providers that have a key, for the owner's tool; ``disclosures`` counts repeats under live grants, too.

    Those of which only the request key was accepted stand among them, without a key of their own.
    """
    rows = [_shown(session, vault, provider) for provider in vault.providers.values()]
    rows += [_accepted(pin) for pin in _bare_pins(vault)]
    rows.sort(key=lambda row: str(row["since"]))
    return {"providers": [row for row in rows if wanted in (None, row["id"])]}


def _bare_pins(vault: Vault) -> list[Pin]:
    known_ids = {provider.client_id for provider in vault.providers.values()}
    return [pin for pin in vault.pins.values() if pin.client_id not in known_ids]


def _accepted(pin: Pin) -> dict[str, Json]:
    return {
        "id": pin.id,
        "client_id": pin.client_id,
        "name": pin.name,
        "trust": pin.trust.value,
        "since": pin.since,
        "last": pin.since,
        "did": None,
        "disclosures": 0,
        "holds": [],
        "grants": [],
    }


def _shown(session: Session, vault: Vault, provider: KnownProvider) -> dict[str, Json]:
    held = [grant for grant in vault.grants.values() if grant.provider_id == provider.id]
    return {
        "id": provider.id,
        "client_id": provider.client_id,
        "name": provider.name,
        "trust": provider.trust.value,
        "since": provider.since,
        "last": provider.last,
        "did": provider.did,
        "disclosures": provider.disclosures + sum(session.uses.count(grant.entry) for grant in held),
        "holds": sorted(provider.got),
        "grants": [grant.id for grant in held],
    }


def require_provider(vault: Vault, provider_id: Json) -> KnownProvider:
    """Find a provider. Raises `NotFound`."""
    if not isinstance(provider_id, str) or provider_id not in vault.providers:
        raise NotFound("no such provider")
    return vault.providers[provider_id]


def _require_forgettable(vault: Vault, provider_id: Json) -> KnownProvider | Pin:
    """Find a provider, or the accepted key of one that has got nothing. Raises `NotFound`."""
    bare = {pin.id: pin for pin in _bare_pins(vault)}
    if isinstance(provider_id, str) and provider_id in bare:
        return bare[provider_id]
    return require_provider(vault, provider_id)


async def rotate(session: Session, act: Act, tool: str, provider_id: Json) -> dict[str, Json]:
    """Give a provider a new key: one touch opens the old one, which signs the hand-over. Its grants end."""
    require_provider(session.require_vault(), provider_id)
    async with session.desk.turn(act):
        vault, journal = session.require_vault(), session.require_journal()
        old = require_provider(vault, provider_id)
        new_key = provider_keys.new_private_key()
        new_jwk = public_members(new_key)
        issued_at = session.clock.now_ms() // 1000
        prepared = prepare_handover(old.public_jwk, new_jwk, old.client_id, issued_at)
        about: dict[str, Json] = {**provider_value(old), "handover": prepared}
        statement = provider_statement("provider-rotated", act.caller, tool, about)
        await session.agree(act, statement, "New key")
        opening = await find_opening(session, act, vault, Holder(old.id, old, None, old.public_jwk, old.tag))
        values = {**statement_values(statement, act.caller), "provider": provider_value(old)}
        draft = journal.draft(Kind.KEY_ROTATED, values)
        opened = opening.finish(await session.touch(act, opening.token, draft.challenge, opening.handles))
        handover = finish_handover(prepared, opened.key)
        act.report(Progress.RECORDING)
        renewed = replace(old, public_jwk=new_jwk, did=did_jwk(new_jwk), handover=handover)
        put: list[Record] = [
            vault.provider_record(renewed),
            *key_copies(vault, old.id, replace(opened, key=new_key), session.rng, anew=True),
        ]
        entry = await journal.append(draft, approval=opened.answer.approval, put=put, apply=vault.apply)
        await _end_grants(session, vault, old.id)
    return {"entry": entry, "handover": handover, "did": renewed.did}


async def forget(session: Session, act: Act, tool: str, provider_id: Json) -> dict[str, Json]:
    """Delete a provider's key, grants, pin and alias after a touch; what it got stays in the ledger."""
    _require_forgettable(session.require_vault(), provider_id)
    async with session.desk.turn(act):
        vault, journal = session.require_vault(), session.require_journal()
        provider = _require_forgettable(vault, provider_id)
        statement = provider_statement("provider-forgotten", act.caller, tool, provider_value(provider))
        await session.agree(act, statement, "Forget")
        token = await session.locate(act, vault.enrolled)
        values = {**statement_values(statement, act.caller), "provider": provider_value(provider)}
        draft = journal.draft(Kind.OWNER_CHANGE, values)
        answer = await session.touch(act, token, draft.challenge, [])
        act.report(Progress.RECORDING)
        await _end_grants(session, vault, provider.id)
        gone = [(known.PROVIDER, provider.id)] if provider.id in vault.providers else []
        gone += [(provider_keys.KIND, one) for one in vault.copies if one.startswith(f"{provider.id}/")]
        gone += [(known.PIN, pin.id) for pin in vault.pins.values() if pin.client_id == provider.client_id]
        entry = await journal.append(draft, approval=answer.approval, delete=gone, apply=vault.apply)
    return {"entry": entry}


async def _end_grants(session: Session, vault: Vault, provider_id: str) -> None:
    for grant in [one for one in vault.grants.values() if one.provider_id == provider_id]:
        await grants.end_grant(session, vault, grant, {"reason": "its provider's key has ended"})
