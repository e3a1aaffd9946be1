"""The ways into a vault: adding a token, making a recovery code, and not ending set-up with one alone.

A vault with one single way in is lost with that one token. Set-up therefore offers a second way, and ends
without one only when the owner says so twice: in two answers, with ``--single-way-in`` twice, or one of each.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import count
from typing import TYPE_CHECKING

from ownerctl import render
from ownerctl.present import Token, describe, describe_all, enrolling, pin_mode, present_tokens
from ownerctl.questions import agree, pick, say, types_exactly

if TYPE_CHECKING:
    from ownerctl.options import Output
    from ownerd.model.encoding import Json

TWICE = 2
_WORD = "single"
_ONE_WAY = """the vault has one single way in: {name}
  if that token is lost, breaks or is reset, everything in the vault is lost with it"""
_UNANSWERED = """  add a second token or a recovery code on paper: ownerctl token add, ownerctl recovery set
  to say that one way in is meant: --single-way-in, given twice"""
_NO_OTHER = "no second token is there; to enrol one as well, plug it in now"
_CODE = """a recovery code is a line of letters and digits to keep on paper, away from this machine
  it opens the vault when no token can, and does nothing but enrol a new token"""
_KEEP_CODE = """the recovery code is set; it was shown that once and nobody can show it again
  keep the paper away from this machine, and make a new code if somebody may have seen it"""
_ALONE = "if {name} is lost, nobody can open the vault again, you included; type {word} to accept that: "


def free_name(name: str, taken: Collection[object]) -> str:
    """``name``, or with a number where a token of that name is enrolled: tokens of one make are named alike."""
    if name not in taken:
        return name
    return next(numbered for number in count(2) if (numbered := f"{name} {number}") not in taken)


def add_token(
    output: Output,
    token: Token,
    *,
    pin: bool,
    taken: Collection[object],
    name: str | None = None,
    make_keys: str | None = None,
) -> dict[str, Json]:
    """Enrol a token that is present: two touches on it, then one on a token that is enrolled already.

    ``taken`` are the names of those; without a name of its own the token gets the one that it reports.
    ``make_keys`` is the curve of the keys that are made on it first.
    """
    from ownerctl.owner import change

    render.note(enrolling(token, pin=pin))
    render.note("  two touches on it, then one on a token that is enrolled; touch the one that is named")
    message: dict[str, Json] = {
        "change": "token-add",
        "token": token.get("id"),
        "user_verification": pin,
        "name": name or free_name(str(token.get("name")), taken),
    }
    if make_keys is not None:
        message["make_keys"] = make_keys
    return change(output, message)


def set_recovery(output: Output) -> dict[str, Json]:
    """Make a recovery code, which the daemon's prompt shows and has typed back. It never comes here."""
    from ownerctl.owner import change

    return change(output, {"change": "recovery-set"})


def keep_code() -> None:
    """Say what to do with a code that was just made."""
    render.note(_KEEP_CODE)


def warn_of_one_way(token: Token) -> None:
    """Say that one way in is left, and how a script answers."""
    render.note(_ONE_WAY.format(name=token.get("name")))
    render.note(_UNANSWERED)


def ask_for_another_way(output: Output, first: Token, *, said: int) -> None:
    """Offer a second token and a recovery code until there is one of them, or the owner refuses twice.

    ``said`` counts how often the owner has said so already. Raises `EOFError` and `KeyboardInterrupt` when
    the owner leaves instead, who has been told then what is missing.
    """
    try:
        if said == 0:
            render.note(_ONE_WAY.format(name=first.get("name")))
        elif _accepts(first):
            return
        while not _offer(output, first):
            if agree("go on with one single way in?", default=False) and _accepts(first):
                return
    except (EOFError, KeyboardInterrupt):
        render.note("")
        render.note("the vault is made")
        warn_of_one_way(first)
        raise


def _accepts(first: Token) -> bool:
    return types_exactly(_ALONE.format(name=first.get("name"), word=_WORD), _WORD)


def _offer(output: Output, first: Token) -> bool:
    """Offer both ways once; whether there is a second way in now."""
    token = _offer_token(output, first)
    code = _offer_code(output, needed=not token)
    return token or code


def _offer_token(output: Output, first: Token) -> bool:
    from ownerctl.owner import converse
    from ownerd.model.errors import OwnerdError

    others = [row for row in converse(output, present_tokens) if row.get("id") != first.get("id")]
    if not others:
        render.note(_NO_OTHER)
        return False
    if len(others) == 1:
        (second,) = others
        if not agree(f"enrol {describe(second)} as a second way in?", default=True):
            return False
    else:
        render.note("these other tokens are there")
        chosen = pick("enrol which as a second way in", describe_all(others), may_be_none=True)
        if chosen is None:
            return False
        second = others[chosen]
    try:
        answer = add_token(output, second, pin=pin_mode(second, None), taken={first.get("name")})
    except OwnerdError as error:
        say(error)
        return False
    render.note(f"enrolled {second.get('name')} (entry {answer.get('entry')})")
    return True


def _offer_code(output: Output, *, needed: bool) -> bool:
    from ownerd.model.errors import OwnerdError

    render.note(_CODE)
    if not agree("make a recovery code now?", default=needed):
        return False
    try:
        set_recovery(output)
    except OwnerdError as error:
        say(error)
        return False
    keep_code()
    return True
