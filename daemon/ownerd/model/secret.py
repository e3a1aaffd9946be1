"""A redacting holder for secret bytes.

Owns nothing but the habit of not showing them: ``repr``, ``str``, formatting and pickling never reveal the
bytes. CPython cannot promise to wipe memory; process exit does (DESIGN section 5).
"""

from __future__ import annotations

import hmac
from typing import NoReturn, final


@final
class Secret:
    """Secret bytes: a key, a PIN, a token's hmac-secret output."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = bytes(value)

    def reveal(self) -> bytes:
        """Return the bytes. Every call is a place to look at in a review."""
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        raise TypeError("a secret is not hashable")

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")
