"""One ``[[rule]]`` of a policy text, read strictly (`ownerd.negotiation.policy_text` has the whole format).

A rule that could not do what it says is refused: a grant that names no provider or no claims (there is no "allow
all"), an alias for something that is no mail address, a stand-in for itself.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from ownerd.credential.dns_name import is_dns_name
from ownerd.model.claim import DERIVED_LABELS, LABELS, MAX_VALUE_BYTES
from ownerd.model.encoding import Json
from ownerd.model.errors import InvalidArgument
from ownerd.model.plain import is_plain, shorten, show_plain
from ownerd.model.policy import (
    MAX_GRANT_COUNT,
    MAX_GRANT_DAYS,
    MAX_GRANT_PER_HOUR,
    Action,
    GrantLimits,
    Rule,
    Substitute,
)
from ownerd.model.request import Trust
from ownerd.model.terms import PURPOSES

MAX_CLAIMS: Final = 64
ADDRESS: Final = "address.*"
REDIRECT: Final = "redirect_uri:"

Members = Mapping[str, Json]

_KEYS = frozenset(
    {"do", "provider", "trust", "purpose", "claims", "with", "value", "days", "count", "per_hour"}
)
_LIMITS = ("days", "count", "per_hour")
_CLIENT_ID = re.compile(
    rf"(x509_san_dns|x509_hash|decentralized_identifier|verifier_attestation|{REDIRECT[:-1]}):[!-~]{{1,480}}",
    re.ASCII,
)
_WORDS: Final = {"alias": Substitute.ALIAS, "later": Substitute.LATER}


def parse_rule(number: int, members: Json) -> Rule:
    """Read rule ``number``. Raises `InvalidArgument` with the number in its message."""
    try:
        return _rule(number, require_members(members, _KEYS))
    except InvalidArgument as error:
        raise InvalidArgument(f"rule {number}: {error}") from error


def require_members(members: Json, known: Collection[str]) -> Members:
    """Return a table all of whose keys are ``known``."""
    if not isinstance(members, dict):
        raise InvalidArgument("not a table")
    for key in members:
        if key not in known:
            raise InvalidArgument(f"unknown key {_shown(key)}")
    return members


def require_text(value: Json, what: str) -> str:
    """Return a string that is not empty and shows what it is."""
    if not isinstance(value, str) or not value or not is_plain(value):
        raise InvalidArgument(f"{what} is not plain text")
    return value


def require_texts(value: Json, what: str, most: int, *, least: int = 1) -> tuple[str, ...]:
    """Return a list of different strings."""
    if not isinstance(value, list) or not least <= len(value) <= most:
        raise InvalidArgument(f"{what} is not a list of {least} to {most} texts")
    texts = tuple(require_text(one, what) for one in value)
    if len(set(texts)) < len(texts):
        raise InvalidArgument(f"{what} has a text twice")
    return texts


def require_purpose(value: Json) -> str:
    """Return a purpose that is understood."""
    purpose = require_text(value, "purpose")
    if purpose not in PURPOSES:
        raise InvalidArgument(f"unknown purpose {_shown(purpose)}")
    return purpose


def _shown(text: str) -> str:
    return f"'{show_plain(shorten(text, 40))}'"


def _rule(number: int, members: Members) -> Rule:
    action = _action(members.get("do"))
    substitute, detail = _substitute(members, action)
    rule = Rule(
        number=number,
        action=action,
        provider=_provider(members["provider"]) if "provider" in members else None,
        trust=_trust(members["trust"]) if "trust" in members else None,
        purpose=require_purpose(members["purpose"]) if "purpose" in members else None,
        claims=_claims(members["claims"]) if "claims" in members else None,
        substitute=substitute,
        detail=detail,
        grant=_limits(members, action, substitute),
    )
    _require_asker(rule)
    _require_grant_scope(rule)
    _require_substitute(rule)
    return rule


def _action(value: Json) -> Action:
    if not isinstance(value, str) or value not in list(Action):
        raise InvalidArgument("do is not allow, grant, substitute, refuse or ask")
    return Action(value)


def _provider(value: Json) -> str:
    provider = require_text(value, "provider")
    if ":" in provider:
        if not _CLIENT_ID.fullmatch(provider):
            raise InvalidArgument("provider is not a client id with a known prefix")
    elif not is_dns_name(provider.removeprefix("*.")):
        raise InvalidArgument("provider is not a lowercase DNS name (names in other scripts begin with xn--)")
    return provider


def _trust(value: Json) -> Trust:
    if not isinstance(value, str) or value not in list(Trust):
        raise InvalidArgument("trust is not verified, pinned or claimed")
    return Trust(value)


def _claim(name: str) -> str:
    if name not in LABELS and name not in DERIVED_LABELS:
        hint = f"; write '{ADDRESS}' for all of it" if name == "address" else ""
        raise InvalidArgument(f"unknown claim {_shown(name)}{hint}")
    return name


def _claims(value: Json) -> tuple[str, ...]:
    names = require_texts(value, "claims", MAX_CLAIMS)
    return tuple(name if name == ADDRESS else _claim(name) for name in names)


def _substitute(members: Members, action: Action) -> tuple[Substitute | None, str | None]:
    given = [key for key in ("with", "value") if key in members]
    if action is not Action.SUBSTITUTE:
        if given:
            raise InvalidArgument(f"{given[0]} belongs to do = 'substitute'")
        return None, None
    if len(given) != 1:
        raise InvalidArgument("substitute needs either with or value")
    if given == ["value"]:
        value = members["value"]
        if not isinstance(value, str) or not value or not is_plain(value, newlines=True):
            raise InvalidArgument("value is not plain text")
        if len(value.encode()) > MAX_VALUE_BYTES:
            raise InvalidArgument(f"value is longer than {MAX_VALUE_BYTES} bytes")
        return Substitute.VALUE, value
    word = require_text(members["with"], "with")
    if word in _WORDS:
        return _WORDS[word], None
    return Substitute.CLAIM, _claim(word)


def _limits(members: Members, action: Action, substitute: Substitute | None) -> GrantLimits | None:
    given = [key for key in _LIMITS if key in members]
    may = substitute not in (None, Substitute.LATER)
    if action is not Action.GRANT and (not may or not given):
        if given:
            raise InvalidArgument(f"{given[0]} belongs to do = 'grant'")
        return None
    numbers = []
    for key, most in zip(_LIMITS, (MAX_GRANT_DAYS, MAX_GRANT_COUNT, MAX_GRANT_PER_HOUR), strict=True):
        number = members.get(key)
        if type(number) is not int or not 1 <= number <= most:
            raise InvalidArgument(f"{key} is not a whole number from 1 to {most}")
        numbers.append(number)
    return GrantLimits(*numbers)


def _require_asker(rule: Rule) -> None:
    """A claimed asker is served by no rule that names it, so such a rule would be an error of its writer."""
    unsigned = rule.provider is not None and rule.provider.startswith(REDIRECT)
    if unsigned and (rule.action is not Action.REFUSE or rule.trust in (Trust.PINNED, Trust.VERIFIED)):
        raise InvalidArgument(
            "redirect_uri askers are unsigned; only a refuse rule without trust can name one"
        )


def _require_grant_scope(rule: Rule) -> None:
    if rule.grant is None:
        return
    if rule.provider is None or rule.provider.startswith("*."):
        raise InvalidArgument("a grant has to name one provider")
    if rule.claims is None:
        raise InvalidArgument("a grant has to name its claims")
    if rule.trust is Trust.CLAIMED:
        raise InvalidArgument("a grant needs a verified or pinned provider")


def _require_substitute(rule: Rule) -> None:
    claims = rule.claims or ()
    match rule.substitute:
        case Substitute.ALIAS if claims != ("email",):
            raise InvalidArgument("an alias stands in for claims = ['email'] alone")
        case Substitute.VALUE if not claims or ADDRESS in claims:
            raise InvalidArgument(
                "a value has to name the claims that it stands in for, each by its full name"
            )
        case Substitute.VALUE if not DERIVED_LABELS.keys().isdisjoint(claims):
            raise InvalidArgument("a derived claim has no value of its own")
        case Substitute.CLAIM if not claims:
            raise InvalidArgument("a claim that stands in needs the claims that it stands in for")
        case Substitute.CLAIM if rule.detail in claims or (
            ADDRESS in claims and str(rule.detail).startswith("address.")
        ):
            raise InvalidArgument("a claim cannot stand in for itself")
