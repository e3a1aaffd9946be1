"""What is enrolled: the tokens and the recovery code that open the vault, as the daemon lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ownerctl.options import Output
    from ownerd.model.encoding import Json

Enrolled = dict[str, "Json"]


def read_enrolled(output: Output) -> dict[str, Json]:
    """``{"tokens": […], "recovery": …}``, checked as far as it is used. Raises `BadAnswer`."""
    from ownerctl.errors import BadAnswer
    from ownerctl.owner import members, read

    answer = read(output, {"what": "tokens"})
    members(answer, "tokens")
    if not isinstance(answer.get("recovery"), dict | None):
        raise BadAnswer("the answer does not say whether there is a recovery code")
    return answer


def texts(answer: dict[str, Json], name: str) -> list[str]:
    """The texts of a list in an answer; what else stands there is left out."""
    found = answer.get(name)
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def find_enrolled(rows: list[Enrolled], wanted: str) -> Enrolled:
    """The enrolled token of that id or, where only one has it, that name. Raises `NotFound`, `UsageTrouble`."""
    from ownerctl.errors import UsageTrouble
    from ownerd.model.errors import NotFound

    for row in rows:
        if row.get("id") == wanted:
            return row
    named = [row for row in rows if row.get("name") == wanted]
    if len(named) > 1:
        ids = ", ".join(str(row.get("id")) for row in named)
        raise UsageTrouble(f"several tokens have that name: {ids}", hint="give the id instead")
    if not named:
        raise NotFound("no such token is enrolled")
    return named[0]


def recovery_line(recovery: Any) -> str:
    """One sentence on the recovery code."""
    if not isinstance(recovery, dict):
        return "no recovery code"
    of = recovery.get("of")
    keys = f"brings back {recovery.get('providers')} of {of} provider keys" if of else "no provider keys yet"
    return f"recovery code set in entry {recovery.get('since_entry')}, {keys}"


def kind(row: Enrolled) -> str:
    """``fido2``, ``piv`` or ``pkcs11``, and whether it is the software token."""
    return f"{row.get('type')}, software" if row.get("software") else str(row.get("type"))
