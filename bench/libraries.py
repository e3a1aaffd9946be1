"""The D-Bus libraries that rows are measured under."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Final

from bench.measure import Scale, note

LIBRARIES: Final = ("dbus-next", "dbus-fast")


def wanted_libraries(scale: Scale) -> Iterator[str]:
    """Those of which a row is wanted, by the end of its name; one that is not installed is left out, with a word."""
    for library in LIBRARIES:
        if not scale.wants(library.removeprefix("dbus")):
            continue
        if importlib.util.find_spec(library.replace("-", "_")) is None:
            note(f"{library} is not installed")
            continue
        yield library
