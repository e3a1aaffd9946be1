"""Reading and changing claims through the daemon: one touch each, sealed both ways."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from ownerctl.options import Output

if TYPE_CHECKING:
    from ownerd.model.encoding import Json


def require_names(names: Iterable[str]) -> list[str]:
    """Names of claims that are stored, each once, in order. Raises `UsageTrouble` for any other."""
    from ownerd.model.claim import LABELS

    return _require(names, LABELS)


def require_asked(names: Iterable[str]) -> list[str]:
    """As `require_names`, of claims that can be asked for and held back: derived ones and ``address``, too."""
    from ownerd.model.claim import OFFERED

    return _require(names, OFFERED)


def _require(names: Iterable[str], known: Collection[str]) -> list[str]:
    from ownerctl.errors import UsageTrouble

    for name in names:
        if name not in known:
            raise UsageTrouble(f"unknown claim {name[:40]!r}", hint="known are " + ", ".join(known))
    return list(dict.fromkeys(names))


def read_claims(output: Output, names: list[str] | None) -> list[dict[str, Json]]:
    """Claims by name, or all: one touch. Raises `NothingThere` for one that is not there."""
    from ownerctl.errors import NothingThere
    from ownerctl.owner import members, read

    message = {"what": "claims", "names": names}
    rows = members(read(output, message), "claims")
    found = {row.get("name") for row in rows}
    missing = [name for name in names or [] if name not in found]
    if missing:
        raise NothingThere(f"no {missing[0]} in the vault", hint="ownerctl data list shows what there is")
    return rows


def change_claims(output: Output, message: dict[str, Json]) -> None:
    """Change claims and say what was recorded."""
    from ownerctl.owner import change, say_done

    answer = change(output, message)
    names = answer.get("claims")
    listed = ", ".join(str(name) for name in names) if isinstance(names, list) else ""
    done = "removed" if message["change"] == "remove" else "set"
    say_done(output, answer, f"{done} {listed}")
