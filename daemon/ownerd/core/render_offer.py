"""Prompts about what a provider asks and gets: disclosure, counter-offer, grant, login, a key to accept.

Pure functions of the statement; `ownerd.core.render` calls them and holds the version.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ownerd.core.render_parts import MAX_NAME, MAX_VALUE, app, names, text
from ownerd.model.claim import claim_label
from ownerd.model.encoding import Json
from ownerd.model.terms import PURPOSES, Terms
from ownerd.negotiation.own_terms import kept_words, narrowing_words

_TRUST: Final = {
    "verified": "identity proven by a certificate",
    "pinned": "the same as before, by a key you accepted",
    "claimed": "NOT PROVEN: anybody can claim this name",
}
_ATTESTED: Final = "identity vouched for by an attester that you trust"
_WITHIN: Final = "Their terms are within yours."
_THEIRS: Final = "You have no terms of your own for this."
_FORM: Final = {
    "raw": "",
    "derived": "computed",
    "alias": "made for them alone",
    "set": "written by you for them",
}


def _proof(provider: dict[str, Json]) -> str:
    attested = provider["trust"] == "verified" and provider["client_id"].startswith("verifier_attestation:")
    return _ATTESTED if attested else _TRUST[provider["trust"]]


def _asker(statement: dict[str, Json], does: str) -> list[str]:
    """Who asks for what, how sure that is, and what is odd about it."""
    provider = statement["provider"]
    name = text(provider["name"], MAX_NAME)
    lines = [
        f"{name} {does}",
        "",
        f"Who asks: {name} ({_proof(provider)})",
        app(statement),
    ]
    if provider["response_host"] not in (None, provider["name"]):
        lines.append(f"The answer goes to: {text(provider['response_host'], MAX_NAME)}")
    lines += [f"CAREFUL: {text(note, MAX_VALUE)}" for note in statement["alarms"]]
    if provider["trust"] == "claimed":
        lines.append("They get a key that is used once.")
    elif provider["new"]:
        lines.append("First time: they get a key of their own, known to nobody else.")
    if provider["new_anchor"]:
        lines.append(f"New trust anchor, added in trust.d: {text(provider['anchor'], 16)}")
    return lines


def _terms(statement: dict[str, Json], *, answered: bool = True) -> list[str]:
    """Why, how long, who else: theirs as they say it, yours where you have some, and what comes of both."""
    words = statement["purpose"]
    lines = [f"Purpose, in their words: {text(words, MAX_VALUE)}"] if words else []
    terms = statement["terms"]
    for asked in terms["asked"]:
        purposes = ", ".join(PURPOSES.get(one, text(one, MAX_NAME)) for one in asked["purpose"])
        lines += [f"Purpose: {purposes}", *_conditions(asked)]
    if not lines:
        lines = ["Purpose: not stated"]
    if not answered:
        return lines
    own = terms["own"]
    if terms["asked"] and terms["accepted"]:
        return [*lines, f"{_WITHIN if own else _THEIRS} You sign that you accept them."]
    if own is None:
        return lines
    less = narrowing_words([_parsed(asked) for asked in terms["asked"]], _parsed(own))
    if less:
        lines.append("That is more than your terms allow. You narrow it, and do not sign theirs:")
        return lines + [f"  {text(line, MAX_VALUE)}" for line in less]
    lines.append(
        "Your terms go along, and theirs are not signed:" if terms["asked"] else "Your terms go along:"
    )
    return lines + [f"  {line}" for line in _conditions(own)]


def _parsed(terms: dict[str, Json]) -> Terms:
    return Terms(
        tuple(terms["purpose"]), terms["retention_days"], tuple(terms["recipients"]), terms["agreement"]
    )


def _conditions(terms: dict[str, Json]) -> list[str]:
    others = ", ".join(text(one, MAX_NAME) for one in terms["recipients"]) or "nobody"
    lines = [f"Kept: {kept_words(terms['retention_days'])}", f"Passed on to: {others}"]
    if terms["agreement"]:
        lines.append(f"Agreement: {text(terms['agreement'], MAX_VALUE)}")
    return lines


def _claim(claim: dict[str, Json], *, with_value: bool) -> str:
    remarks = [_FORM[claim["form"]]] if _FORM[claim["form"]] else []
    if claim["instead_of"] not in (None, claim["name"]):
        remarks.append(f"instead of {claim_label(claim['instead_of'])}")
    remark = f" ({', '.join(remarks)})" if remarks else ""
    value = f": {text(claim['value'], MAX_VALUE)}" if with_value else ""
    return f"  {claim_label(claim['name'])}{value}{remark}"


def _goes(statement: dict[str, Json], title: str) -> list[str]:
    """What would leave, and what would not."""
    shown = statement["values_shown"]
    lines = ["", title, *(_claim(claim, with_value=shown) for claim in statement["claims"])]
    if not statement["claims"]:
        lines.append("  nothing but their key")
    if not shown and statement["claims"]:
        lines.append(
            "Values are not shown on a terminal that no token has approved; ownerctl watch asks for that."
        )
    return lines + _not_going(statement) + [f"Note: {text(note, MAX_VALUE)}" for note in statement["notes"]]


def _not_going(statement: dict[str, Json]) -> list[str]:
    lines = names("Asked, but not in your vault, or not as they want it", statement["missing"])
    lines += names("Asked, but you hold it back", statement["withheld"])
    lines += names("Asked, but a rule of yours refuses it", statement["refused"])
    lines += names("Asked, to be asked again when it is needed", statement["later"])
    return lines + names("Asked, not sent because they can do without", statement["optional"])


def _grant_line(limits: dict[str, Json]) -> str:
    return (
        f"For {limits['days']} days they may get exactly this again without asking you: at most "
        f"{limits['count']} times, {limits['per_hour']} in an hour, this time included."
    )


def disclosure(statement: dict[str, Json]) -> list[str]:
    """One disclosure, or that there is none to make."""
    if not statement["credentials"]:
        return [
            *_asker(statement, "asks for your data."),
            *_terms(statement, answered=False),
            "",
            "They get nothing, whatever you answer: none of it is there, or not as they want it.",
            *_not_going(statement),
        ]
    return [
        *_asker(statement, "asks for your data."),
        *_terms(statement),
        *_goes(statement, "They would get:"),
    ]


def grant(statement: dict[str, Json]) -> list[str]:
    """A disclosure that may be repeated."""
    return [
        *disclosure(statement),
        "",
        _grant_line(statement["grant"]),
        "You can end that: ownerctl grant revoke",
    ]


def offer(statement: dict[str, Json]) -> list[str]:
    """A counter-offer: names and terms go to the app, no value does."""
    return [
        *_asker(statement, "asks for your data, and you answer with an offer."),
        *_terms(statement),
        *_goes(statement, "They would be offered (no value is sent yet):"),
    ]


def login(statement: dict[str, Json]) -> list[str]:
    """Registration or login without data."""
    return [
        *_asker(statement, "asks you to sign in."),
        "",
        "They get a signature by their key, and none of your data.",
    ]


def pinned(statement: dict[str, Json]) -> list[str]:
    """A request key that nobody vouches for."""
    provider = statement["provider"]
    name = text(provider["name"], MAX_NAME)
    return [
        f"{name} asks, with a key that nobody vouches for.",
        "",
        app(statement),
        *(f"CAREFUL: {text(note, MAX_VALUE)}" for note in statement["alarms"]),
        f"Name: {text(provider['client_id'], MAX_VALUE)}",
        f"Key: {text(provider['key'], MAX_NAME)}",
        "Accept it only if you know from elsewhere that it is theirs. From then on they are known by this key,",
        "and another one under their name is refused.",
    ]


LINES: Final[dict[str, Callable[[dict[str, Json]], list[str]]]] = {
    "disclosure": disclosure,
    "grant": grant,
    "offer": offer,
    "login": login,
    "provider-pinned": pinned,
}
