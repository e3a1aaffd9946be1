"""The owner's policy: shown, explained, and changed by a touch on the lines that differ."""

from __future__ import annotations

import difflib
from typing import Final

from ownerd.core import admission
from ownerd.core.desk import Act
from ownerd.core.session import Session
from ownerd.core.statement import Statement, policy_statement, statement_values
from ownerd.core.vault import Vault
from ownerd.model.encoding import Json
from ownerd.model.errors import InvalidArgument
from ownerd.model.names import Kind, Progress
from ownerd.model.offer import KnownAsker
from ownerd.model.request import Trust
from ownerd.negotiation.explain import explain, explain_terms
from ownerd.negotiation.negotiate import negotiate
from ownerd.negotiation.policy_text import parse_policy

_NEW: Final = "new"  # stands for the alias that a new provider would get; no value is shown


def explained(session: Session, vault: Vault, text: Json) -> dict[str, Json]:
    """What the policy makes of a request, rule by rule; nothing is asked and nothing leaves.

    Raises as a request does that is really made.
    """
    if not isinstance(text, str):
        raise InvalidArgument("the read names no request")
    request = admission.read(session, text)
    alarms = admission.judge(vault, request)
    known = vault.provider_for(request.provider.client_id, request.provider.trust)
    asker = (
        known.asker
        if known
        else KnownAsker(tag=_NEW if request.provider.trust is not Trust.CLAIMED else None)
    )
    offer = negotiate(request, vault.claims, vault.policy, asker, today=admission.today(session))
    provider = request.provider
    return {
        "asker": {
            "name": provider.name,
            "client_id": provider.client_id,
            "trust": provider.trust.value,
            "known": known is not None,
            "alarms": list(alarms),
        },
        "decisions": [dict(one) for one in explain(offer)],
        "terms": explain_terms(offer),
        "notes": list(offer.notes),
    }


async def change(session: Session, act: Act, tool: str, text: Json) -> dict[str, Json]:
    """Put a policy in the place of the present one. Raises `InvalidArgument` naming the rule that is wrong."""
    if not isinstance(text, str):
        raise InvalidArgument("the policy is not text")
    parse_policy(text)
    async with session.desk.turn(act):
        vault, journal = session.require_vault(), session.require_journal()
        changes = _differences(vault.policy.text, text)

        def describe(values_shown: bool) -> Statement:  # noqa: FBT001 -- as the session calls it
            return policy_statement(act.caller, tool, text, changes, values_shown=values_shown)

        statement = await session.agree_as_shown(act, describe, "Yes, change")
        token = await session.locate(act, vault.enrolled)
        draft = journal.draft(Kind.OWNER_CHANGE, statement_values(statement, act.caller))
        act.purpose = "change your policy"
        answer = await session.touch(act, token, draft.challenge, [])
        act.report(Progress.RECORDING)
        put = [vault.policy_record(text)]
        entry = await journal.append(draft, approval=answer.approval, put=put, apply=vault.apply)
    return {"entry": entry, "lines": len(changes)}


def _differences(old: str, new: str) -> list[str]:
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]
