"""One disclosure, steps 3 to 12 of DESIGN section 4 (docs/ARCHITECTURE.md has the same numbers).

Owns the order: nothing leaves before its entry is durable, and nothing is signed that was not shown, but under a
grant that a touch made.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from ownerd.core import admission, grants, login
from ownerd.core.bargaining import Negotiation
from ownerd.core.desk import Act
from ownerd.core.grants import GrantPlan, make_grant_plan, signed_grant
from ownerd.core.holder import Holder, changes, find_opening, holder_for, remember
from ownerd.core.known import provider_value
from ownerd.core.plan import (
    Plan,
    accepted_hashes,
    as_asked,
    entry_values,
    make_plan,
    nothing_of,
    response_members,
    without_values,
)
from ownerd.core.ports import Record
from ownerd.core.service import CounterOffer, Narrowing, Released, Wishes
from ownerd.core.session import Session
from ownerd.core.statement import Situation, offer_statement
from ownerd.core.vault import Vault
from ownerd.credential.presentation import build_response, finish
from ownerd.model.canonical import format_canonical
from ownerd.model.encoding import Json, format_b64u
from ownerd.model.errors import ClockWrong, Downgraded, KeyChanged, NotAllowed, NotSupported
from ownerd.model.names import Kind, Progress
from ownerd.model.offer import Offer
from ownerd.model.policy import GrantLimits
from ownerd.model.request import Request
from ownerd.negotiation.negotiate import negotiate, negotiate_blind


class _Case(Struct, frozen=True):
    """One request while it is answered."""

    session: Session
    act: Act
    request: Request
    wishes: Wishes
    alarms: tuple[str, ...]
    negotiation: Negotiation | None


async def present(session: Session, act: Act, text: str, wishes: Wishes) -> Released | CounterOffer:
    """Carry a request from its bytes to the durable entry (steps 3 to 10), or to a counter-offer."""
    # 3. Bytes become a verified request, or an error.
    request = admission.read(session, text)
    act.notes |= {"provider": provider_value(request.provider), "request": format_b64u(request.digest)}
    # 5. A locked vault: the request waits, and its app and its owner are told.
    waited = False
    if session.vault is None:
        session.budget.admit(act.caller)
        act.report(Progress.WAITING_FOR_UNLOCK)
        await session.desk.notify_waiting(act)
        await session.desk.wait_for(act, session.unlocked, Progress.WAITING_FOR_UNLOCK)
        # It may have expired meanwhile.
        request = admission.read(session, text)
        waited = True
    vault = session.require_vault()
    alarms = await _judged(session, vault, request)
    if not wishes.ask and _may_repeat(session, request, act):
        released = await _repeat(session, act, vault, request)
        if released is not None:
            return released
    if not waited:
        session.budget.admit(act.caller)
    negotiation = session.negotiations.join(wishes, act.caller.bus_name, request)
    case = _Case(session, act, request, wishes, alarms, negotiation)
    async with session.desk.turn(act):
        # Whoever waited may find the vault under new keys.
        vault = session.require_vault()
        if admission.needs_pin(vault, request):
            await admission.accept_key(session, act, vault, request, alarms)
        if request.login:
            return await login.sign_in(session, act, vault, request, alarms)
        return await _answer(case, vault)


async def _judged(session: Session, vault: Vault, request: Request) -> tuple[str, ...]:
    """`admission.judge`; what it refuses the owner is told of, because it may be an attack."""
    try:
        return admission.judge(vault, request)
    except (Downgraded, KeyChanged) as error:
        await session.desk.warn(str(error))
        raise


async def _repeat(session: Session, act: Act, vault: Vault, request: Request) -> Released | None:
    """Serve a live grant without asking (step 5); None where there is none, or a value has changed."""
    provider = vault.provider_for(request.provider.client_id, request.provider.trust)
    if provider is None or not vault.grants or admission.needs_pin(vault, request):
        return None
    await grants.end_expired(session, vault)
    offer = negotiate(request, vault.claims, vault.policy, provider.asker, today=admission.today(session))
    found = grants.find_grant(vault, provider, offer)
    if found is None or not found[1]:
        return None
    return await grants.repeat(session, act, provider, found[0], offer)


async def _answer(case: _Case, vault: Vault) -> Released | CounterOffer:
    session, negotiation = case.session, case.negotiation
    holder = holder_for(vault, case.request.provider, session.rng)
    # 4. The offer; where a rule of the owner's changes what was asked, an app that bargains decides first. What it
    # learns before the owner was asked, an error or silence included, tells nothing of what is in the vault.
    if negotiation is not None:
        blind = _offer(case, vault, holder, Narrowing(), blind=True)
        if blind.differs and not (blind.each_time or negotiation.is_agreed(blind)):
            return await _counter(case, vault, holder, negotiation, blind)
    # 6. Shown until the owner approves it or refuses; narrowing makes a new one.
    plan, narrowing = await _decide(case, vault, holder)
    if not plan.offer.credentials:
        raise NotAllowed("nothing is released")
    if negotiation is not None:
        blind = _offer(case, vault, holder, narrowing, blind=True)
        if blind.differs and not negotiation.is_agreed(blind):
            return await _counter(case, vault, holder, negotiation, blind)
    if isinstance(plan, GrantPlan):
        released = await _grant(case, vault, holder, plan)
    else:
        released = await _disclose(case, vault, holder, plan)
    session.budget.approved(case.act.caller)
    session.negotiations.drop(negotiation)
    return released


async def _disclose(case: _Case, vault: Vault, holder: Holder, plan: Plan) -> Released:
    session, act, request = case.session, case.act, case.request
    journal = session.require_journal()
    # 7. and 8. One touch signs the statement and opens this provider's key.
    opening = await find_opening(session, act, vault, holder)
    draft = journal.draft(Kind.DISCLOSURE, entry_values(plan.statement, plan.offer, act))
    opened = opening.finish(await session.touch(act, opening.token, draft.challenge, opening.handles))
    # 9. Sign and encrypt exactly what was shown.
    presentations = {query_id: finish(one, opened.key) for query_id, one in plan.prepared.items()}
    members = response_members(holder.known, plan.owner_terms)
    response = build_response(request, presentations, members)
    # 10. Durable before anything leaves.
    act.report(Progress.RECORDING)
    known = remember(holder, request.provider, plan.offer.claims, draft.core.time)
    put = changes(vault, request.provider, known, opened, session.rng)
    outcome: dict[str, Json] = {"presentation": presentations, "response": response}
    entry = await journal.append(
        draft, approval=opened.answer.approval, outcome=outcome, put=put, apply=vault.apply
    )
    return Released(response, entry)


async def _grant(case: _Case, vault: Vault, holder: Holder, plan: GrantPlan) -> Released:
    """One touch makes the grant; what was asked now is its first use."""
    session, act, provider = case.session, case.act, case.request.provider
    journal = session.require_journal()
    assert holder.id is not None, "a grant is for a provider that has a key"
    provider_id = holder.id
    opening = await find_opening(session, act, vault, holder)
    draft = journal.draft(Kind.GRANT, entry_values(plan.statement, plan.offer, act), plan.facts)
    act.purpose = "approve a disclosure and its repeats"
    opened = opening.finish(await session.touch(act, opening.token, draft.challenge, opening.handles))
    act.report(Progress.RECORDING)
    before = [one for one in vault.grants.values() if one.provider_id == provider_id]
    known = remember(holder, provider, plan.offer.claims, draft.core.time, leaves=False)
    put = changes(vault, provider, known, opened, session.rng)

    def records(entry: int) -> list[Record]:
        made = signed_grant(plan, entry, provider_id, opened.key, draft.core.time)
        return [*put, vault.grant_record(made)]

    entry = await journal.append(draft, approval=opened.answer.approval, put=records, apply=vault.apply)
    for old in before:
        if old.terms == grants.terms_digest(plan.offer) and old.claims.keys() <= {
            c.name for c in plan.offer.claims
        }:
            await grants.end_grant(session, vault, old, {"reason": "another one takes its place"})
    released = await grants.repeat(
        session, act, vault.providers[provider_id], vault.grants[str(entry)], plan.offer
    )
    if released is None:
        raise NotAllowed("the grant is over before its first use")
    return released


def _offer(case: _Case, vault: Vault, holder: Holder, narrowing: Narrowing, *, blind: bool = False) -> Offer:
    without, days = narrowing.without, narrowing.retention_days
    if blind:
        offer = negotiate_blind(
            case.request, vault.policy, holder.asker, without=without, retention_days=days
        )
    else:
        offer = negotiate(
            case.request,
            vault.claims,
            vault.policy,
            holder.asker,
            today=admission.today(case.session),
            without=without,
            retention_days=days,
        )
    # A claim in another's place goes to who understands offers; nobody gets what they did not ask.
    return as_asked(offer) if case.negotiation is None else offer


def _require_answer(blind: Offer) -> None:
    """Raise where there is nothing to ask the owner, whatever is in the vault."""
    if not blind.credentials:
        # Said in the same words whether a rule refuses or all is held back now: the app learns neither.
        raise NotAllowed("nothing is released")
    for credential in blind.credentials:
        accepted_hashes(blind, credential.query_id)


async def _decide(case: _Case, vault: Vault, holder: Holder) -> tuple[Plan | GrantPlan, Narrowing]:
    plans: list[tuple[Plan | GrantPlan, Narrowing]] = []

    def text(narrowing: Narrowing, values_shown: bool) -> str:  # noqa: FBT001 -- the desk calls it
        plan = _plan(case, vault, holder, narrowing, values_shown=values_shown)
        plans.append((plan, narrowing))
        return str(plan.statement["rendered"]["text"])

    await case.session.confirm(case.act, text)
    return plans[-1]


def _plan(
    case: _Case, vault: Vault, holder: Holder, narrowing: Narrowing, *, values_shown: bool
) -> Plan | GrantPlan:
    session = case.session
    blind = _offer(case, vault, holder, narrowing, blind=True)
    _require_answer(blind)
    situation = _situation(case, vault, holder, values_shown=values_shown)
    try:
        offer = _offer(case, vault, holder, narrowing)
        _require_answer(offer)
    except (NotAllowed, NotSupported):
        # It could be answered, and not with what is here: that is for the owner alone to see.
        return make_plan(nothing_of(blind), holder, situation, session.clock.now_ms(), session.rng)
    try:
        limits = _limits(case, vault, holder, offer, narrowing)
    except NotAllowed as error:
        # The owner wanted it here and now, and so is the one to hear why not; what was asked stays as it is.
        limits, offer = None, replace(offer, notes=(*offer.notes, str(error)))
    if limits is not None:
        since_ms = session.require_journal().now_ms()  # as its entry: the verifier judges it from there
        return make_grant_plan(offer, holder, limits, situation, since_ms, session.rng)
    return make_plan(offer, holder, situation, session.clock.now_ms(), session.rng)


def _limits(
    case: _Case, vault: Vault, holder: Holder, offer: Offer, narrowing: Narrowing
) -> GrantLimits | None:
    """How far a grant would go: as the owner says now, as a rule says, or as the one that is renewed."""
    if narrowing.grant is not None:
        grants.require_eligible(offer, case.act.caller)
        if case.session.clock_is_behind:
            raise ClockWrong("no grant can be given while the clock stands before the ledger's newest entry")
        return narrowing.grant
    if case.wishes.ask or not offer.claims or not _may_repeat(case.session, case.request, case.act):
        return None
    if offer.grant is not None or holder.known is None:
        return offer.grant
    renewed = grants.find_grant(vault, holder.known, offer)
    return None if renewed is None else renewed[0].limits


def _situation(case: _Case, vault: Vault, holder: Holder, *, values_shown: bool) -> Situation:
    anchor = case.request.provider.anchor
    return Situation(
        case.act.caller,
        new_provider=holder.known is None,
        new_anchor=anchor is not None and anchor not in vault.anchors,
        alarms=case.alarms,
        rounds=() if case.negotiation is None else tuple(case.negotiation.entries),
        values_shown=values_shown,
    )


async def _counter(
    case: _Case, vault: Vault, holder: Holder, negotiation: Negotiation, offer: Offer
) -> CounterOffer:
    """Record and return a counter-offer; no value is in it."""
    journal, act = case.session.require_journal(), case.act
    document = case.session.negotiations.counter(negotiation, offer)
    bare = without_values(offer)
    situation = _situation(case, vault, holder, values_shown=False)
    statement = offer_statement(Kind.OFFER.value, bare, situation, {}, document=document)
    act.report(Progress.RECORDING)
    entry = await journal.append(journal.draft(Kind.OFFER, entry_values(statement, bare, act)))
    negotiation.entries.append(entry)
    negotiation.offered = offer.request.digest, negotiation.digest_of(offer)
    return CounterOffer(negotiation.id, format_canonical(document).decode(), entry)


def _may_repeat(session: Session, request: Request, act: Act) -> bool:
    """Whether a grant may serve: its time is the ledger's, which stands still while the clock is behind it."""
    return grants.may_have_grant(request, act.caller) and not session.clock_is_behind
