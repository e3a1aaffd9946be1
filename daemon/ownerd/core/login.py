"""Registration and login without data: the provider's pairwise key signs its nonce, in one touch."""

from __future__ import annotations

from ownerd.core.desk import Act
from ownerd.core.holder import changes, find_opening, holder_for, remember
from ownerd.core.plan import response_members
from ownerd.core.service import Released
from ownerd.core.session import Session
from ownerd.core.statement import Situation, login_statement, request_values
from ownerd.core.vault import Vault
from ownerd.credential.id_token import finish_id_token, prepare_id_token
from ownerd.credential.presentation import seal_response
from ownerd.model.encoding import Json
from ownerd.model.errors import NotAllowed
from ownerd.model.names import Kind, Progress
from ownerd.model.request import Request, Trust


async def sign_in(
    session: Session, act: Act, vault: Vault, request: Request, alarms: tuple[str, ...]
) -> Released:
    """Prompt, touch, record and answer with an id_token (SIOPv2). Never under a grant.

    Raises `NotAllowed` for an unsigned asker: anybody could send the owner's signature elsewhere.
    """
    journal, provider = session.require_journal(), request.provider
    if provider.trust is Trust.CLAIMED:
        raise NotAllowed("a login needs a signed request")
    holder = holder_for(vault, provider, session.rng)
    prepared = prepare_id_token(
        request, holder_jwk=holder.public_jwk, issued_at=session.clock.now_ms() // 1000
    )
    anchor = provider.anchor
    new_anchor = anchor is not None and anchor not in vault.anchors
    situation = Situation(act.caller, holder.known is None, new_anchor, alarms)
    statement = login_statement(request, situation, prepared)
    await session.agree(act, statement, "Sign in")
    opening = await find_opening(session, act, vault, holder)
    draft = journal.draft(Kind.DISCLOSURE, request_values(statement, act.caller, request))
    act.purpose = "sign in"
    opened = opening.finish(await session.touch(act, opening.token, draft.challenge, opening.handles))
    token = finish_id_token(prepared, opened.key)
    members: dict[str, Json] = {"id_token": token, **response_members(holder.known, None)}
    response = seal_response(request, members)
    act.report(Progress.RECORDING)
    known = remember(holder, provider, (), draft.core.time)
    put = changes(vault, provider, known, opened, session.rng)
    outcome: dict[str, Json] = {"presentation": {"id_token": token}, "response": response}
    entry = await journal.append(
        draft, approval=opened.answer.approval, outcome=outcome, put=put, apply=vault.apply
    )
    return Released(response, entry)
