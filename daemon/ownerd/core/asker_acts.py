"""Changes of policy, grants and providers, as the owner's tool words them."""

from __future__ import annotations

from typing import Final

from ownerd.core import grants, policy_acts, provider_acts
from ownerd.core.desk import Act
from ownerd.core.known import provider_value
from ownerd.core.owner import ToolMessage
from ownerd.core.session import Session
from ownerd.core.statement import app_label
from ownerd.model.encoding import Json

# Each change, and what its touches are for.
CHANGES: Final = {
    "policy": "change your policy",
    "grant-revoke": "end a grant",
    "provider-rotate": "give a provider a new key",
    "provider-forget": "forget a provider",
}


async def change(session: Session, act: Act, message: ToolMessage) -> dict[str, Json]:
    """Carry out one of `CHANGES`. Raises `InvalidArgument`, `NotFound`."""
    members, tool = message.members, message.tool
    act.purpose = CHANGES[str(members["change"])]
    match members["change"]:
        case "policy":
            return await policy_acts.change(session, act, tool, members.get("text"))
        case "provider-rotate":
            return await provider_acts.rotate(session, act, tool, members.get("id"))
        case "provider-forget":
            return await provider_acts.forget(session, act, tool, members.get("id"))
        case _:
            return await _revoke(session, act, members.get("id"))


async def _revoke(session: Session, act: Act, grant_id: Json) -> dict[str, Json]:
    """End a grant at once, without a touch: it only takes away, and a lost token must not keep it alive."""
    vault = session.require_vault()
    grant = grants.require_grant(vault, grant_id)
    values: dict[str, Json] = {"app": app_label(act.caller), "reason": "revoked"}
    provider = vault.providers.get(grant.provider_id)
    if provider is not None:
        values["provider"] = provider_value(provider)
    return {"entry": await grants.end_grant(session, vault, grant, values)}
