"""Options dictionaries: every key is documented in docs/dbus, everything else is refused by name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ownerd.bus.label import clean_text
from ownerd.bus.terminal import require_terminal
from ownerd.dbuslib import Variant
from ownerd.model.caller import Caller, Terminal
from ownerd.model.claim import LABELS, require_claim_name
from ownerd.model.errors import InvalidArgument

MAX_TEXT_BYTES: Final = 256 * 1024
MAX_TOKEN_ID_CHARS: Final = 256
_HANDLE_TOKEN = re.compile(r"[A-Za-z0-9_]{1,64}", re.ASCII)
_PENDING_ID = re.compile(r"[A-Za-z0-9-]{1,32}", re.ASCII)

TERMINAL_OPTIONS: Final = {"tty": "s", "term": "s", "locale": "s"}
REQUEST_OPTIONS: Final = {"handle_token": "s", **TERMINAL_OPTIONS}
APPROVE_OPTIONS: Final = {"without": "as", **TERMINAL_OPTIONS}


@dataclass(frozen=True, slots=True)
class Options:
    """Options of one call, types and forms checked; the terminal only by `terminal`."""

    handle_token: str | None = None
    tty: str | None = None
    term: str | None = None
    locale: str | None = None
    without: tuple[str, ...] = ()

    def terminal(self, caller: Caller) -> Terminal | None:
        """The lent terminal, or None. Raises as `require_terminal`."""
        if self.tty is None:
            return None
        return require_terminal(self.tty, self.term, self.locale, caller.uid)


def parse_options(given: dict[str, Variant], allowed: dict[str, str]) -> Options:
    """Check ``given`` against ``allowed`` (key → D-Bus signature). Raises `InvalidArgument`."""
    values: dict[str, object] = {}
    for key, variant in given.items():
        if key not in allowed:
            raise InvalidArgument(f"unknown option {clean_text(key, 40)!r}")
        if variant.signature != allowed[key]:
            raise InvalidArgument(f"option {key} is not of type {allowed[key]}")
        values[key] = variant.value
    token = values.get("handle_token")
    if token is not None and not _HANDLE_TOKEN.fullmatch(str(token)):
        raise InvalidArgument("option handle_token is not 1 to 64 letters, digits or underscores")
    without = values.pop("without", [])
    texts = {key: str(value) for key, value in values.items()}
    return Options(**texts, without=_parse_without(without))


def _parse_without(names: object) -> tuple[str, ...]:
    if not isinstance(names, list) or len(names) > len(LABELS):
        raise InvalidArgument("option without names more claims than there are")
    return tuple(require_claim_name(name) for name in names)


def require_text(text: str, what: str) -> str:
    """Return ``text``. Raises `InvalidArgument` when it is empty or longer than 256 KiB in UTF-8."""
    if not text:
        raise InvalidArgument(f"the {what} is empty")
    if len(text) > MAX_TEXT_BYTES or len(text.encode()) > MAX_TEXT_BYTES:
        raise InvalidArgument(f"the {what} is larger than 256 KiB")
    return text


def require_pending_id(text: str) -> str:
    """Return ``text``. Raises `InvalidArgument` when no waiting request can have it as its id."""
    if not _PENDING_ID.fullmatch(text):
        raise InvalidArgument("not the id of a waiting request")
    return text


def require_token_id(text: str) -> str:
    """Return ``text``. Raises `InvalidArgument` when no token that is present can have it as its id."""
    if not text.isprintable() or not 0 < len(text) <= MAX_TOKEN_ID_CHARS:
        raise InvalidArgument("not the id of a token")
    return text
