"""One disclosure, steps 3 to 12 of DESIGN section 4 (docs/ARCHITECTURE.md has the same numbers).

Owns the order: nothing leaves before its entry is durable, and nothing is signed that was not shown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import ec

from ownerd.core import provider_keys as keys
from ownerd.core import recovery_code
from ownerd.core.desk import Act
from ownerd.core.keyslot import Enrolled, Keyslot
from ownerd.core.negotiation import negotiate
from ownerd.core.ports import Record
from ownerd.core.provider_keys import KeyCopy
from ownerd.core.service import Released
from ownerd.core.session import Session
from ownerd.core.statement import Statement, app_label, disclosure_statement
from ownerd.core.vault import ID_BYTES, KnownProvider, Vault
from ownerd.credential.did import did_jwk
from ownerd.credential.jwe import public_members
from ownerd.credential.presentation import Prepared, build_response, finish, prepare
from ownerd.credential.request_object import read_request
from ownerd.model.claim import claim_path
from ownerd.model.encoding import Json, format_b64u
from ownerd.model.errors import NotAllowed, TokenMissing
from ownerd.model.names import Kind, Progress
from ownerd.model.offer import Offer
from ownerd.model.request import Provider, Request, Trust
from ownerd.model.token import SecretHandle, TokenAnswer


@dataclass(frozen=True, slots=True)
class Holder:
    """The key that will sign: of a provider known before, new for this one, or one-time (not stored)."""

    provider: KnownProvider | None
    new_key: ec.EllipticCurvePrivateKey | None
    public_jwk: dict[str, Json]
    stored: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What would leave if the owner approved now."""

    offer: Offer
    prepared: Prepared
    statement: Statement


async def present(session: Session, act: Act, text: str) -> Released:
    """Carry a request from its bytes to the durable entry (steps 3 to 10)."""
    journal = session.require_journal()
    # 3. Bytes become a verified request, or an error.
    request = read_request(text, anchors=session.anchors(), now_ms=journal.now_ms())
    act.notes |= {"provider": provider_value(request.provider), "request": format_b64u(request.digest)}
    # 5. A locked vault: the request waits, and its app and its owner are told.
    if session.vault is None:
        act.report(Progress.WAITING_FOR_UNLOCK)
        await session.desk.notify_waiting(act)
        await session.desk.wait_for(act, session.unlocked, Progress.WAITING_FOR_UNLOCK)
        # It may have expired meanwhile.
        request = read_request(text, anchors=session.anchors(), now_ms=journal.now_ms())
    vault = session.require_vault()
    async with session.desk.turn(act):
        holder = _holder(vault, request)
        # 4. and 6. The offer, shown until the owner approves it or refuses; narrowing makes a new one.
        plan = await _decide(session, act, vault, request, holder)
        # 7. and 8. One touch signs the statement and opens this provider's key.
        keyslot = await session.locate(act, _able(vault, holder))
        handles, copy = _handles(session, vault, holder, keyslot)
        draft = journal.draft(Kind.DISCLOSURE, _values(plan, act))
        answer = await session.touch(act, keyslot, draft.challenge, handles)
        key = _signing_key(holder, copy, keyslot, answer)
        # 9. Sign and encrypt exactly what was shown.
        presentation = finish(plan.prepared, key)
        response = build_response(request, {request.query.credentials[0].id: presentation})
        # 10. Durable before anything leaves.
        act.report(Progress.RECORDING)
        put = _changes(session, vault, request, holder, key, (keyslot, handles, answer), draft.core.time)
        outcome: dict[str, Json] = {"presentation": presentation, "response": response}
        entry = await journal.append(
            draft, approval=answer.approval, outcome=outcome, put=put, apply=vault.apply
        )
    return Released(response, entry)


def provider_value(provider: Provider) -> dict[str, Json]:
    """A provider as ledger openings name it."""
    return {
        "trust": provider.trust.value,
        "client_id": provider.client_id,
        "name": provider.name,
        "key": provider.key_thumbprint,
        "anchor": provider.anchor,
    }


def _holder(vault: Vault, request: Request) -> Holder:
    provider = request.provider
    if provider.trust is Trust.CLAIMED:
        key = keys.new_private_key()
        return Holder(None, key, public_members(key), stored=False)
    known = vault.provider_for(provider.client_id, provider.trust)
    if known is not None:
        return Holder(known, None, known.public_jwk, stored=True)
    key = keys.new_private_key()
    return Holder(None, key, public_members(key), stored=True)


async def _decide(session: Session, act: Act, vault: Vault, request: Request, holder: Holder) -> Plan:
    plans: list[Plan] = []

    def text(without: frozenset[str], values_shown: bool) -> str:  # noqa: FBT001 -- the desk calls it
        plans.append(_plan(session, act, vault, request, holder, without, values_shown=values_shown))
        return str(plans[-1].statement["rendered"]["text"])

    await session.desk.confirm(act, text)
    return plans[-1]


def _plan(
    session: Session,
    act: Act,
    vault: Vault,
    request: Request,
    holder: Holder,
    without: frozenset[str],
    *,
    values_shown: bool,
) -> Plan:
    now_ms = session.require_journal().now_ms()
    today = datetime.fromtimestamp(now_ms / 1000, UTC).date()
    offer = negotiate(request, vault.claims, today=today, without=without)
    if not offer.claims:
        # Said in the same words whether nothing is in the vault or all is held back: the app learns neither.
        raise NotAllowed("nothing is released")
    prepared = prepare(
        [(claim_path(claim.name), claim.value) for claim in offer.claims],
        request,
        holder_jwk=holder.public_jwk,
        issued_at=now_ms // 1000,
        rng=session.rng,
    )
    anchor = request.provider.anchor
    statement = disclosure_statement(
        offer,
        prepared,
        act.caller,
        new_provider=holder.provider is None,
        new_anchor=anchor is not None and anchor not in vault.anchors,
        values_shown=values_shown,
    )
    return Plan(offer, prepared, statement)


def _values(plan: Plan, act: Act) -> dict[str, Json]:
    values: dict[str, Json] = {
        "statement": plan.statement,
        "app": app_label(act.caller),
        "purpose": plan.offer.request.purpose,
        **act.notes,
    }
    for index, claim in enumerate(plan.offer.claims):
        values[f"claim/{index}"] = {"name": claim.name, "value": claim.value, "version": claim.version}
    return values


def _able(vault: Vault, holder: Holder) -> dict[str, Enrolled]:
    """Who may approve, in the order in which they are looked for: who has this provider's key goes first."""
    if holder.provider is None:
        return vault.enrolled
    provider = holder.provider.id
    return dict(sorted(vault.enrolled.items(), key=lambda one: f"{provider}/{one[0]}" not in vault.copies))


def _handles(
    session: Session, vault: Vault, holder: Holder, keyslot: Enrolled
) -> tuple[list[SecretHandle], KeyCopy | None]:
    """What the touch asks of the token: nothing for a one-time key, else one provider's salt.

    A token that only signs approves the first disclosure: the new key is sealed to all that open.
    """
    if not holder.stored:
        return [], None
    if not isinstance(keyslot, Keyslot):
        if holder.provider is not None:
            raise TokenMissing(
                "the token that is present only signs; this provider's key needs one that opens"
            )
        return [], None
    copy = None
    if holder.provider is not None:
        copy = vault.copies.get(f"{holder.provider.id}/{keyslot.id}")
        if copy is None:
            raise TokenMissing("the token that is present does not hold this provider's key yet")
    return keys.handles_for(copy, keyslot, session.rng), copy


def _signing_key(
    holder: Holder, copy: KeyCopy | None, keyslot: Enrolled, answer: TokenAnswer
) -> ec.EllipticCurvePrivateKey:
    if holder.new_key is not None:
        return holder.new_key
    if copy is None or not isinstance(keyslot, Keyslot):
        raise TokenMissing("the token that is present does not hold this provider's key yet")
    return keys.open_key(copy, keyslot, answer.secrets)


def _changes(
    session: Session,
    vault: Vault,
    request: Request,
    holder: Holder,
    key: ec.EllipticCurvePrivateKey,
    touch: tuple[Enrolled, list[SecretHandle], TokenAnswer],
    time: str,
) -> list[Record]:
    """Records that change with this disclosure: provider, its key's copies, a new trust anchor."""
    anchor = request.provider.anchor
    put = [] if anchor is None or anchor in vault.anchors else [vault.anchor_record(anchor)]
    if not holder.stored:
        return put
    if holder.provider is None:
        provider = KnownProvider(
            id=session.rng(ID_BYTES).hex(),
            client_id=request.provider.client_id,
            trust=request.provider.trust,
            name=request.provider.name,
            public_jwk=holder.public_jwk,
            did=did_jwk(holder.public_jwk),
            since=time,
            last=time,
            disclosures=1,
        )
    else:
        provider = replace(holder.provider, last=time, disclosures=holder.provider.disclosures + 1)
    put.append(vault.provider_record(provider))
    if vault.recovery is not None and f"{provider.id}/{recovery_code.ID}" not in vault.copies:
        spare = keys.copy_transfer(provider.id, recovery_code.ID, vault.recovery.public, key)
        put.append(vault.copy_record(spare))
    present_keyslot, handles, answer = touch
    for keyslot in vault.keyslots.values():
        copy = vault.copies.get(f"{provider.id}/{keyslot.id}")
        if keyslot.id == present_keyslot.id:
            if copy is None or copy.handle is None:
                salt, secret = handles[-1].salt, answer.secrets[-1]
                fresh = keys.copy_direct(provider.id, keyslot.id, key, salt, secret, session.rng)
                put.append(vault.copy_record(fresh))
        elif copy is None:
            waiting = keys.copy_transfer(provider.id, keyslot.id, keyslot.transfer.public, key)
            put.append(vault.copy_record(waiting))
    return put
