"""Tokens that are present: which there are, and which of them is meant."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ownerctl import render

if TYPE_CHECKING:
    from ownerctl.owner import Owner

Token = dict[str, Any]

_POLL_SECONDS = 1.0
_HOW_TO_GET_ONE = """no token is there yet
  plug in a FIDO2 key, or put a FIDO2 card on a reader; or, to try things out without one,
  start a software token in another terminal: ownerd-softtoken, the first time with --new
waiting for a token, ctrl-c ends"""
_PLUG_IN = """plug in the new token, and leave one that is enrolled in its place
waiting for a token that is not enrolled, ctrl-c ends"""


async def present_tokens(owner: Owner) -> list[Token]:
    """Tokens that are there now. Uses up no PIN try and asks for no touch."""
    from ownerctl.owner import members

    (rows,) = await owner.client.owner_call("Tokens", "List")
    return members({"tokens": rows}, "tokens")


async def wait_present(owner: Owner) -> list[Token]:
    """As `present_tokens`; a person is told how to get one and waited for, a script is not.

    Raises `NoToken`.
    """
    from ownerctl.errors import NoToken
    from ownerctl.terminal import is_interactive

    found = await present_tokens(owner)
    if found:
        return found
    if not is_interactive():
        raise NoToken("no token is there")
    render.note(_HOW_TO_GET_ONE)
    while not found:
        await asyncio.sleep(_POLL_SECONDS)
        found = await present_tokens(owner)
    return found


def not_enrolled(present: Sequence[Token], enrolled: Sequence[Mapping[str, object]]) -> list[Token]:
    """``present`` without those that the daemon recognised as enrolled, by asking the tokens."""
    known = {row.get("present_id") for row in enrolled}
    return [token for token in present if token.get("id") not in known]


async def wait_new(owner: Owner, enrolled: Sequence[Mapping[str, object]], wanted: str | None) -> list[Token]:
    """Tokens to enrol: those that are there and not enrolled, or all where ``wanted`` names one.

    A person without one is told, and waited for. Raises `NoToken`.
    """
    from ownerctl.errors import NoToken
    from ownerctl.terminal import is_interactive

    found = await present_tokens(owner)
    if wanted is not None:
        return found
    new = not_enrolled(found, enrolled)
    if not new and not is_interactive():
        raise NoToken("no token is there that is not enrolled already")
    if not new:
        render.note(_PLUG_IN)
    while not new:
        await asyncio.sleep(_POLL_SECONDS)
        new = not_enrolled(await present_tokens(owner), enrolled)
    return new


def describe(token: Token) -> str:
    """``name (transport, with a PIN)``."""
    pin = "with a PIN" if token.get("has_pin") else "without a PIN"
    return f"{token.get('name')} ({token.get('transport')}, {pin})"


def enrolling(token: Token, *, pin: bool) -> str:
    """What is about to happen to ``token``."""
    return f"enrolling {describe(token)}, used {'with' if pin else 'without'} its PIN"


def describe_all(tokens: Sequence[Token]) -> list[str]:
    """`describe` of each, and the id behind it where two would read alike."""
    names = [token.get("name") for token in tokens]
    return [
        describe(token) + (f"  {token.get('id')}" if names.count(token.get("name")) > 1 else "")
        for token in tokens
    ]


def choose(tokens: Sequence[Token], wanted: str | None, *, asks: bool, how: str) -> Token:
    """The token that was named by id or name, the only one, or the one that the person picks.

    ``asks`` whether somebody can be asked; else ``how`` is the hint. Raises `NoToken` and `UsageTrouble`.
    """
    from ownerctl.errors import NoToken, UsageTrouble
    from ownerctl.questions import pick

    if wanted is not None:
        named = [token for token in tokens if token.get("id") == wanted]
        named = named or [token for token in tokens if token.get("name") == wanted]
        if len(named) > 1:
            ids = ", ".join(str(token.get("id")) for token in named)
            raise UsageTrouble(f"several tokens have that name: {ids}", hint="give the id instead")
        if not named:
            there = ", ".join(str(token.get("id")) for token in tokens)
            hint = f"these are there: {there}" if there else ""
            raise NoToken("the token that was named is not there", hint=hint)
        return named[0]
    if not tokens:
        raise NoToken("no token is there")
    if len(tokens) == 1:
        return tokens[0]
    if not asks:
        names = ", ".join(str(token.get("id")) for token in tokens)
        raise UsageTrouble(f"several tokens are there: {names}", hint=how)
    render.note("several tokens are there")
    found = pick("which token", describe_all(tokens))
    assert found is not None
    return tokens[found]


def pin_mode(token: Token, wanted: bool | None) -> bool:  # noqa: FBT001 a three-valued option
    """Whether to use the token with its PIN: as asked for, else if it has one. Raises `UsageTrouble`."""
    from ownerctl.errors import UsageTrouble

    has_pin = bool(token.get("has_pin"))
    if wanted and not has_pin:
        raise UsageTrouble(
            "the token has no PIN", hint="set one with its maker's tool first, or use --no-pin"
        )
    return has_pin if wanted is None else wanted
