"""Inputs that stand for several answers in a row, as a token gives them: ``length (2 bytes, big-endian) ‖ answer``, …

The last answer takes what is left. `format_answers` is the inverse of reading them all.
"""

from __future__ import annotations

from collections.abc import Iterable


class Answers:
    """Answers taken one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def byte(self) -> int:
        """The next byte, 0 at the end."""
        found = self._data[self._at : self._at + 1]
        self._at += 1
        return found[0] if found else 0

    def next(self) -> bytes | None:
        """The next answer; None at the end."""
        if not self:
            return None
        size = int.from_bytes(self._data[self._at : self._at + 2], "big")
        start = self._at + 2
        self._at = start + size
        return self._data[start : self._at]


def format_answers(answers: Iterable[bytes]) -> bytes:
    """Write answers of at most 65,535 bytes each."""
    return b"".join(len(one).to_bytes(2, "big") + one for one in answers)
