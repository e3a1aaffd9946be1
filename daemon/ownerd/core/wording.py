"""What the owner reads while a token is used: what it is for, which operation of how many, which tries are left.

It names no value and no provider: it also goes into notifications, which any program of the user can read.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from ownerd.model.token import TokenInfo

CHANGE_PIN: Final = "pin"

_PURPOSE: Final = {
    "present": "approve a disclosure",
    "unlock": "unlock the vault",
    "setup": "set up the vault",
    "recover": "enrol a token with the recovery code",
    "read": "show your data to you",
    "change": "change your data",
    "watch": "show values on a terminal",
    CHANGE_PIN: "change it",
}


# Kinds that show what they are about before they use a token: what they use it for sooner is the unlock.
_CONFIRMED: Final = frozenset({"read", "change", "watch"})
# Operations by purpose where one is not enough, and the purposes whose first one makes a credential. A card
# makes none: its keys are there, and it is asked for its PIN once less.
_OPERATIONS: Final = {
    _PURPOSE["setup"]: 2,
    _PURPOSE["recover"]: 2,
    "enrol another token": 3,
    "remove a token and renew the keys": 2,
}
_MAKES_CREDENTIAL: Final = frozenset({_PURPOSE["setup"], _PURPOSE["recover"], "enrol another token"})


def purpose(kind: str, own: str, *, agreed: bool) -> str:
    """What an act of ``kind`` uses a token for, to follow "to"; ``own`` is the act's own word for it, or empty."""
    if kind in _CONFIRMED and not agreed:
        return _PURPOSE["unlock"]
    return own or _PURPOSE.get(kind, kind)


class Operations(Struct):
    """Counts the operations of one act, for each purpose anew. One may ask for a PIN and then for a touch."""

    _purpose: str = ""
    _total: int = 1
    _number: int = 0
    _pending: bool = True

    def begin(self) -> None:
        """Say that the next question, if there is one, is another operation's."""
        self._pending = True

    def describe(self, purpose: str, token: TokenInfo) -> str:
        """Return ``purpose``, and where it takes several operations which this is: "set up the vault (1 of 2)"."""
        if purpose != self._purpose:
            is_card = not token.aaguid
            self._purpose, self._number, self._pending = purpose, 0, True
            self._total = _OPERATIONS.get(purpose, 1) - (is_card and purpose in _MAKES_CREDENTIAL)
        self._number += self._pending
        self._pending = False
        return purpose if self._total == 1 else f"{purpose} ({self._number} of {self._total})"


def tries(count: int) -> str:
    """Return "1 try", "2 tries"."""
    return f"{count} {'try' if count == 1 else 'tries'}"


def risk(name: str, tries_left: int) -> str:
    """What the owner confirms before a PIN is asked for that could be the last mistake."""
    then = (
        "no try: only a reset helps then"
        if tries_left <= 1
        else f"{tries(tries_left - 1)}; without any only a reset helps"
    )
    return (
        f"{tries(tries_left)} left for the PIN of {name}.\n\n"
        f"A wrong PIN now leaves {then}, which erases what the token opens.\n"
        "The right PIN brings all tries back. Go on only if you are sure of it."
    )
