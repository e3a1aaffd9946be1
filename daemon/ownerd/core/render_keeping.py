"""Prompts about the ledger's keeping: what an erasure, a backup and a restore do, and what they do not reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from ownerd.core.render_parts import MAX_NAME, MAX_VALUE, app, text
from ownerd.model.encoding import Json

MAX_RANGES: Final = 24
_CHOSEN: Final = {"claim": "claim", "provider": "provider", "before": "before"}


def _entries(count: int) -> str:
    return "1 ledger entry says" if count == 1 else f"{count} ledger entries say"


def _erased(statement: dict[str, Json]) -> list[str]:
    touches = statement["touches"]
    how_often = "" if touches == 1 else f" ({touches} touches, or as many PINs)"
    chosen = [
        f"{_CHOSEN[name]} {text(value, MAX_NAME)}" for name, value in sorted(statement["chosen"].items())
    ]
    kinds = [f"{count} {text(kind, MAX_NAME)}" for kind, count in sorted(statement["kinds"].items())]
    return [
        f"Erase what {_entries(len(statement['entries']))}, for good{how_often}.",
        "",
        app(statement),
        *([f"Chosen: {', '.join(chosen)}"] if chosen else []),
        f"Entries: {ranges(statement['entries'])}",
        f"Kinds: {', '.join(kinds)}",
        "",
        "Goes: values, names, terms and all else that was kept with them. Nobody can bring it back.",
        "Stays: that there was an entry, when, its kind, who approved it; and what was committed to, unreadable.",
        "Not reached: your present data, what a provider has, backups, other copies and snapshots of the disk.",
    ]


def _backup(statement: dict[str, Json]) -> list[str]:
    ways = ", ".join(text(name, MAX_NAME) for name in statement["ways"])
    code = "your recovery code" if statement["recovery"] else "no recovery code is set"
    return [
        "Back up your vault and ledger, all of it, into one sealed file.",
        "",
        app(statement),
        f"File: {text(statement['file'], MAX_VALUE)}",
        f"It opens with: {ways}; {code}",
        "What you erase or remove later stays in it.",
    ]


def _restored(statement: dict[str, Json]) -> list[str]:
    backup, here = statement["backup"], statement["here"]
    lines = [
        "Restore vault and ledger from a backup.",
        "",
        app(statement),
        f"Backup: {backup['entries']} entries, the newest of {text(backup['made'], MAX_NAME)}",
        f"Ledger: {text(backup['log'], MAX_NAME)}",
    ]
    if here is None:
        lines.append("There is no vault here yet.")
    elif here["log"] != backup["log"]:
        lines.append(
            "It replaces a vault with ANOTHER ledger, or one that cannot be read. That is kept aside."
        )
    else:
        lines.append(
            f"It replaces a vault of the same ledger with {here['entries']} entries. That is kept aside."
        )
        if here["entries"] > backup["entries"]:
            lines.append("What happened since the backup is then no longer in your ledger.")
    if backup["older"]:
        lines.append(
            "Newer heads of the ledger that are kept elsewhere GIVE WAY, as you say that it is lost."
        )
    if backup["by_code"]:
        lines.append(
            "It is opened by your recovery code, and a token is enrolled to approve it (three touches)."
        )
    return [
        *lines,
        "Vault, ledger and openings get new keys; tokens stay enrolled as they were in the backup.",
    ]


def ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers for people: ``3, 5, 7 to 90``; after `MAX_RANGES` of them how many are left."""
    found: list[list[int]] = []
    for one in numbers:
        if found and one == found[-1][1] + 1:
            found[-1][1] = one
        else:
            found.append([one, one])
    shown = [str(first) if first == last else f"{first} to {last}" for first, last in found[:MAX_RANGES]]
    left = sum(last - first + 1 for first, last in found[MAX_RANGES:])
    return ", ".join(shown) + (f" and {left} more" if left else "")


LINES: Final[dict[str, Callable[[dict[str, Json]], list[str]]]] = {
    "erased": _erased,
    "backup": _backup,
    "restored": _restored,
}
