"""Reads and changes of tokens and the recovery code, as the owner's tool words them."""

from __future__ import annotations

from typing import Final

from ownerd.core import enrolment, recovery
from ownerd.core.desk import Act
from ownerd.core.owner import ToolMessage
from ownerd.core.session import Session
from ownerd.model.encoding import Json
from ownerd.model.errors import InvalidArgument

# Each change, and what its touches are for.
CHANGES: Final = {
    "token-add": "enrol another token",
    "token-name": "rename a token",
    "token-remove": "remove a token and renew the keys",
    "recovery-set": "make a recovery code",
}


async def read(session: Session, act: Act, message: ToolMessage) -> dict[str, Json]:
    """List what is enrolled (names and dates only: no touch), or test one token with a touch on it."""
    if message.members["what"] == "token":
        return await enrolment.test(session, act, message.tool, _text(message, "id"))
    vault = session.require_vault()
    seen = await session.tokens.recognise([token.credential for token in vault.enrolled.values()])
    return {**enrolment.listing(vault, seen.tokens), "busy": list(seen.busy)}


async def change(session: Session, act: Act, message: ToolMessage) -> dict[str, Json]:
    """Carry out one of `CHANGES`. Raises `InvalidArgument`."""
    members, tool = message.members, message.tool
    act.purpose = CHANGES[str(members["change"])]
    match members["change"]:
        case "token-add":
            choice, name = enrolment.parse_choice(members), members.get("name")
            if not isinstance(name, str | None):
                raise InvalidArgument("the message has no good name")
            return await enrolment.add(session, act, tool, choice, name=name)
        case "token-name":
            return await enrolment.rename(session, act, tool, _text(message, "id"), _text(message, "name"))
        case "token-remove":
            return await enrolment.remove(session, act, tool, _text(message, "id"))
        case _:
            return await recovery.make(session, act, tool)


def _text(message: ToolMessage, name: str) -> str:
    value = message.members.get(name)
    if not isinstance(value, str):
        raise InvalidArgument(f"{name} is missing or not text")
    return value
