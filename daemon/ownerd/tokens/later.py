"""An adapter that is made at its first use: a daemon that only says "locked" needs no token library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from ownerd.core.ports import TokenPort


class _Later:
    def __init__(self, make: Callable[[], TokenPort]) -> None:
        self._make = make
        self._made: TokenPort | None = None

    def __getattr__(self, name: str) -> Any:
        if self._made is None:
            self._made = self._make()
        return getattr(self._made, name)


def later(make: Callable[[], TokenPort]) -> TokenPort:
    """A `TokenPort` that passes everything on to what ``make`` returns, once."""
    return cast("TokenPort", _Later(make))
