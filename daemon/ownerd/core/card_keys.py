"""New keys on a card: what the owner confirms before any is made, and how its management key is typed.

The management key is the card's own administrator's key (SP 800-73-4, slot 9B). It is typed each time, in the
daemon's own prompt, in hex, and never guessed, defaulted or kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ownerd.core.desk import Act, Desk
from ownerd.model.errors import InvalidArgument, ManagementKeyWrong
from ownerd.model.secret import Secret
from ownerd.model.token import TokenInfo

KEY_BYTES: Final = (16, 24, 32)
_SEPARATORS: Final = re.compile(rb"[ \t:-]")
_HEX: Final = re.compile(rb"[0-9A-Fa-f]+")
_FORM: Final = "a management key is 32, 48 or 64 hexadecimal digits; nothing was sent to the card"


async def confirm_new_keys(desk: Desk, act: Act, token: TokenInfo, shown: Sequence[str]) -> None:
    """Let the owner decide whether a card's keys may be replaced. Raises `Dismissed`, `TimedOut`.

    ``shown`` names the slots (9C, 9D) whose keys the card shows in certificates.
    """
    lines = [
        f"Make new keys on {token.name}.",
        "",
        "The keys in its slots 9C (signature) and 9D (key management) are replaced. Nothing brings the old ones back.",
    ]
    if shown:
        lines.append(
            f"It has usable keys with certificates now, in {' and '.join(shown)}: these are LOST, with whatever"
            " they sign in to or decrypt."
        )
    else:
        lines.append(
            "It shows none now, but keys without a certificate are not shown: if it has any, they are lost."
        )
    lines.append("You are asked for its management key next.")
    await desk.confirm(act, lambda _narrowing, _shown: "\n".join(lines), "Make new keys")


async def ask_management_key(desk: Desk, act: Act, token: TokenInfo) -> Secret:
    """Return the key that the owner typed now, as bytes. Raises `ManagementKeyWrong`, `Dismissed`, `TimedOut`."""
    question = f"Management key of {token.name}, in hexadecimal: 32, 48 or 64 digits. It is not the PIN."
    try:
        typed = await desk.ask(act, question, "Key")
    except InvalidArgument as error:  # what the prompt says of a text out of its bounds
        raise ManagementKeyWrong(_FORM) from error
    return _parse_key(typed)


def _parse_key(typed: Secret) -> Secret:
    digits = _SEPARATORS.sub(b"", typed.reveal())
    if not _HEX.fullmatch(digits) or len(digits) % 2 or len(digits) // 2 not in KEY_BYTES:
        raise ManagementKeyWrong(_FORM)
    return Secret(bytes.fromhex(digits.decode("ascii")))
