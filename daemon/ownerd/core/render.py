"""What the owner reads before a touch: a pure function of the statement.

The text is in the statement that is signed, with `RENDER_VERSION`; change the version with the wording.
Everything that came from outside goes through `show_plain`, each value on one line of its own.
"""

from __future__ import annotations

from typing import Final

from ownerd.core import render_anchors, render_keeping, render_offer
from ownerd.core.render_parts import MAX_NAME, MAX_VALUE, app, names, text, values
from ownerd.model.claim import claim_label
from ownerd.model.encoding import Json

RENDER_VERSION: Final = 4
MAX_LINES: Final = 40
_READS: Final = {
    "claims": "your data",
    "providers": "the list of providers",
    "provider": "what one provider has",
    "entries": "ledger entries",
    "erasable": "which ledger entries hold what is to be erased",
    "entry": "one ledger entry",
    "opening": "values of one ledger entry, with the salts that prove them to others",
    "policy": "your policy",
    "explain": "what your policy makes of a request",
    "grants": "your grants",
    "anchors": "where heads of the ledger are kept",
    "prompts": "prompts with your values on the terminal that is lent to them",
}


def render(statement: dict[str, Json]) -> str:
    """Return the prompt's text: lines of plain characters."""
    match statement["kind"]:
        case "disclosure" | "offer" | "login" | "grant" | "provider-pinned":
            lines = render_offer.LINES[statement["kind"]](statement)
        case "provider-rotated" | "provider-forgotten":
            lines = _provider(statement)
        case "policy":
            lines = _policy(statement)
        case "owner-read":
            lines = _read(statement)
        case "owner-change":
            lines = _change(statement)
        case "token-enrolled" | "token-removed" | "token-named" | "token-tested" | "recovery-set":
            lines = _token(statement)
        case "erased" | "backup" | "restored":
            lines = render_keeping.LINES[statement["kind"]](statement)
        case kind if kind in render_anchors.KINDS:
            lines = render_anchors.lines(statement)
        case kind:
            raise ValueError(f"no rendering for {kind}")
    return "\n".join(lines)


def _read(statement: dict[str, Json]) -> list[str]:
    lines = [f"Show {_READS[statement['what']]}.", "", app(statement)]
    if statement["detail"]:
        lines.append(f"Which: {', '.join(text(item, MAX_NAME) for item in statement['detail'])}")
    return lines


def _token(statement: dict[str, Json]) -> list[str]:
    token = statement["token"]
    name = text(token["name"], MAX_NAME)
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
            rest = [f"Token: {name}", f"New name: {text(statement['name'], MAX_NAME)}"]
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
    return [title, "", app(statement), *rest]


def _provider(statement: dict[str, Json]) -> list[str]:
    name = text(statement["provider"]["name"], MAX_NAME)
    if statement["kind"] == "provider-rotated":
        title = "Give a provider a new key."
        rest = [
            f"Provider: {name}",
            "The old key signs a hand-over to the new one, which goes along with what they get next.",
            "Grants of this provider end.",
        ]
    else:
        title = "Forget a provider."
        rest = [
            f"Provider: {name}",
            "Its key, its grants and the alias made for it are deleted; should it ask again, it is a stranger.",
            "What it got stays with it, and in the ledger.",
        ]
    return [title, "", app(statement), *rest]


def _policy(statement: dict[str, Json]) -> list[str]:
    lines = ["Change your policy.", "", app(statement), ""]
    changes = statement["changes"]
    if not statement["values_shown"]:
        return [
            *lines,
            f"{len(changes)} lines differ. They are not shown on a terminal that no token has approved.",
        ]
    lines += [text(line, MAX_VALUE) for line in changes[:MAX_LINES]]
    if len(changes) > MAX_LINES:
        lines.append(f"… and {len(changes) - MAX_LINES} lines more")
    return lines


def _change(statement: dict[str, Json]) -> list[str]:
    verb = "Remove from your vault:" if statement["change"] == "remove" else "Write into your vault:"
    lines = ["Change your data.", "", app(statement), "", verb]
    if statement["change"] == "remove":
        lines += [f"  {claim_label(claim['name'])}" for claim in statement["claims"]]
    else:
        lines += values(statement)
    lines += names("Replaces the value of", statement["replaced"])
    return lines
