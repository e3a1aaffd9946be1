"""What a caller may learn of a failure: a name from the error table, a short message, nothing else.

Both D-Bus libraries turn an unexpected exception into a reply; dbus-next puts text and traceback into it,
and either may hold a PIN or a value. So every exported method and property getter, every raw message
handler and every request's task passes through here. The log gets the reference number, the exception's
type and where it was raised; never its text, never a local.
"""

from __future__ import annotations

import functools
import inspect
import logging
import secrets
import traceback
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from ownerd.bus.label import clean_text
from ownerd.dbuslib import DBusError
from ownerd.model.errors import InternalError, OwnerdError

MAX_MESSAGE_CHARACTERS: Final = 500
_LOG = logging.getLogger(__name__)
_F = TypeVar("_F", bound=Callable[..., Any])


def known_error(error: BaseException) -> OwnerdError:
    """Return ``error`` if it is from the table, else log it and return an `InternalError` with a reference."""
    if isinstance(error, OwnerdError):
        return error
    reference = secrets.token_hex(4)
    _LOG.error("internal error %s: %s", reference, format_origin(error))
    return InternalError(f"internal error, reference {reference}")


def format_origin(error: BaseException) -> str:
    """Types and places of an exception and its causes, without any text that an exception carries."""
    parts: list[str] = []
    link: BaseException | None = error
    while link is not None and len(parts) < 8:
        frames = traceback.extract_tb(link.__traceback__)[-6:]
        places = " > ".join(f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}" for frame in frames)
        parts.append(f"{type(link).__qualname__} at {places or 'an unknown place'}")
        link = link.__cause__ or link.__context__
    return " from ".join(parts)


def error_message(error: OwnerdError) -> str:
    """Text of an error as it may stand on the bus: one printable line of bounded length."""
    return clean_text(str(error), MAX_MESSAGE_CHARACTERS)


def as_dbus_error(error: BaseException) -> DBusError:
    """Translate for a method's reply. A `DBusError` of our own making passes."""
    if isinstance(error, DBusError):
        return error
    known = known_error(error)
    return DBusError(known.dbus_name, error_message(known))


def guarded(function: _F) -> _F:
    """Wrap an exported method or getter, sync or async, so that only `DBusError` leaves it."""
    wrapped = _wrap_waiting(function) if inspect.iscoroutinefunction(function) else _wrap_direct(function)
    return cast(_F, wrapped)


def _wrap_waiting(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def waiting(*args: Any) -> Any:
        try:
            return await function(*args)
        except Exception as error:  # noqa: BLE001 -- the last line before the bus
            raise as_dbus_error(error) from None

    return waiting


def _wrap_direct(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def direct(*args: Any) -> Any:
        try:
            return function(*args)
        except Exception as error:  # noqa: BLE001 -- the last line before the bus
            raise as_dbus_error(error) from None

    return direct
