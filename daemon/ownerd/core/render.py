"""What the owner reads before a touch: a pure function of the statement.

The text is in the statement that is signed, with `RENDER_VERSION`; change the version with the wording.
Everything that came from outside goes through `show_plain`, each value on one line of its own.
"""

from __future__ import annotations

from typing import Final

import rfc8785

from ownerd.model.claim import claim_label
from ownerd.model.encoding import Json
from ownerd.model.plain import shorten, show_plain

RENDER_VERSION: Final = 2
_MAX_VALUE: Final = 200
_MAX_NAME: Final = 120

_TRUST: Final = {
    "verified": "identity proven by a certificate",
    "pinned": "the same as before, by a key you accepted",
    "claimed": "NOT PROVEN: anybody can claim this name",
}
_APP: Final = {
    "sandbox": "name vouched for by its sandbox",
    "scope": "name given by the desktop session, not proven",
    "executable": "program file, not proven",
    "unknown": "unknown",
}
_READS: Final = {
    "claims": "your data",
    "providers": "the list of providers",
    "provider": "what one provider has",
    "entries": "ledger entries",
    "entry": "one ledger entry",
    "prompts": "prompts with your values on the terminal that is lent to them",
}


def render(statement: dict[str, Json]) -> str:
    """Return the prompt's text: lines of plain characters."""
    match statement["kind"]:
        case "disclosure":
            lines = _disclosure(statement)
        case "owner-read":
            lines = _read(statement)
        case "owner-change":
            lines = _change(statement)
        case "token-enrolled" | "token-removed" | "token-named" | "token-tested" | "recovery-set":
            lines = _token(statement)
        case kind:
            raise ValueError(f"no rendering for {kind}")
    return "\n".join(lines)


def _text(value: Json, limit: int) -> str:
    text = value if isinstance(value, str) else rfc8785.dumps(value).decode()
    return show_plain(shorten(text, limit))


def _app(statement: dict[str, Json]) -> str:
    app = statement["app"]
    if app["confidence"] == "unknown":
        return "App: unknown"
    return f"App: {_text(app['label'], _MAX_NAME)} ({_APP[app['confidence']]})"


def _values(statement: dict[str, Json]) -> list[str]:
    claims = statement["claims"]
    if statement["values_shown"]:
        return [f"  {claim_label(claim['name'])}: {_text(claim['value'], _MAX_VALUE)}" for claim in claims]
    return [
        *(f"  {claim_label(claim['name'])}" for claim in claims),
        "Values are not shown on a terminal that no token has approved; ownerctl watch asks for that.",
    ]


def _names(title: str, names: list[str]) -> list[str]:
    if not names:
        return []
    return [f"{title}: {', '.join(_text(claim_label(name), _MAX_NAME) for name in names)}"]


def _disclosure(statement: dict[str, Json]) -> list[str]:
    provider = statement["provider"]
    lines = [
        f"{_text(provider['name'], _MAX_NAME)} asks for your data.",
        "",
        f"Who asks: {_text(provider['name'], _MAX_NAME)} ({_TRUST[provider['trust']]})",
        _app(statement),
        f"Purpose: {_text(statement['purpose'], _MAX_VALUE) if statement['purpose'] else 'not stated'}",
    ]
    if provider["trust"] == "claimed":
        lines.append("They get a key that is used once.")
    elif provider["new"]:
        lines.append("First time: they get a key of their own, known to nobody else.")
    if provider["new_anchor"]:
        lines.append(f"New trust anchor, added in trust.d: {_text(provider['anchor'], 16)}")
    lines += ["", "They would get:", *_values(statement)]
    lines += _names("Asked, but not in your vault", statement["missing"])
    lines += _names("Asked, but you hold it back", statement["withheld"])
    return lines


def _read(statement: dict[str, Json]) -> list[str]:
    lines = [f"Show {_READS[statement['what']]}.", "", _app(statement)]
    if statement["detail"]:
        lines.append(f"Which: {', '.join(_text(item, _MAX_NAME) for item in statement['detail'])}")
    return lines


def _token(statement: dict[str, Json]) -> list[str]:
    token = statement["token"]
    name = _text(token["name"], _MAX_NAME)
    software = " (software: no protection against programs of yours)" if token["software"] else ""
    only_signs = statement.get("opens") is False
    match statement["kind"]:
        case "token-enrolled":
            title = "Enrol another token."
            rest = [f"Token: {name}{software}", "It will open your vault and use the key of every provider."]
            if only_signs:
                title = "Enrol a token that only signs."
                rest[1] = (
                    "It approves while your vault is open. It is no way in: it opens neither vault nor keys."
                )
        case "token-removed" if only_signs:
            title = "Remove a token that only signs (one touch or PIN)."
            rest = [
                f"Token: {name}",
                "It no longer approves. It has never opened anything, so no key changes.",
            ]
        case "token-removed":
            title = "Remove a token, and renew the keys of vault and ledger (two touches, or a PIN twice)."
            rest = [
                f"Token: {name}",
                "It no longer opens this vault. Copies of the files from before still open with it.",
            ]
        case "token-named":
            title = "Give a token another name."
            rest = [f"Token: {name}", f"New name: {_text(statement['name'], _MAX_NAME)}"]
        case "token-tested" if only_signs:
            title = "Test a token that only signs: it must approve."
            rest = [f"Token: {name}"]
        case "token-tested":
            title = "Test a token: it must open the vault now."
            rest = [f"Token: {name}"]
        case _:
            title = "Make a recovery code."
            rest = [
                "It opens everything, and serves to enrol a token when all are lost. It discloses nothing.",
                "It is shown once. A code that was made before stops working.",
            ]
    return [title, "", _app(statement), *rest]


def _change(statement: dict[str, Json]) -> list[str]:
    verb = "Remove from your vault:" if statement["change"] == "remove" else "Write into your vault:"
    lines = ["Change your data.", "", _app(statement), "", verb]
    if statement["change"] == "remove":
        lines += [f"  {claim_label(claim['name'])}" for claim in statement["claims"]]
    else:
        lines += _values(statement)
    lines += _names("Replaces the value of", statement["replaced"])
    return lines
