"""Pieces of prompts: foreign text made harmless, the asking program, values and names.

Everything that came from outside goes through `text`; each value is on one line of its own.
"""

from __future__ import annotations

from typing import Final

from ownerd.model.canonical import format_canonical
from ownerd.model.claim import claim_label
from ownerd.model.encoding import Json
from ownerd.model.plain import shorten, show_plain

MAX_VALUE: Final = 200
MAX_NAME: Final = 120

_APP: Final = {
    "sandbox": "name vouched for by its sandbox",
    "scope": "name given by the desktop session, not proven",
    "executable": "program file, not proven",
    "unknown": "unknown",
}


def text(value: Json, limit: int) -> str:
    """A foreign value on one line, nothing in it hidden, at most ``limit`` characters."""
    plain = value if isinstance(value, str) else format_canonical(value).decode()
    return show_plain(shorten(plain, limit))


def app(statement: dict[str, Json]) -> str:
    """Which program asks, and how sure that is."""
    caller = statement["app"]
    if caller["confidence"] == "unknown":
        return "App: unknown"
    return f"App: {text(caller['label'], MAX_NAME)} ({_APP[caller['confidence']]})"


def values(statement: dict[str, Json]) -> list[str]:
    """The claims with their values, or without where nobody has allowed to show them."""
    claims = statement["claims"]
    if statement["values_shown"]:
        return [f"  {claim_label(claim['name'])}: {text(claim['value'], MAX_VALUE)}" for claim in claims]
    return [
        *(f"  {claim_label(claim['name'])}" for claim in claims),
        "Values are not shown on a terminal that no token has approved; ownerctl watch asks for that.",
    ]


def names(title: str, listed: list[str]) -> list[str]:
    """One line of claim names, or none."""
    if not listed:
        return []
    return [f"{title}: {', '.join(text(claim_label(name), MAX_NAME) for name in listed)}"]
