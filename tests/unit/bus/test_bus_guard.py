"""The guard: what leaves a failing method, and what is kept of it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from ownerd.bus.guard import MAX_MESSAGE_CHARACTERS, as_dbus_error, error_message, guarded, known_error
from ownerd.dbuslib import DBusError
from ownerd.model import errors


class Methods:
    @guarded
    def direct(self, error: Exception | None) -> str:
        if error:
            raise error
        return "fine"

    @guarded
    async def waiting(self, error: Exception | None) -> str:
        await asyncio.sleep(0)
        return Methods.direct.__wrapped__(self, error)  # type: ignore[attr-defined]


def _call(name: str, error: Exception | None) -> Any:
    result = getattr(Methods(), name)(error)
    return asyncio.run(result) if name == "waiting" else result


@pytest.mark.parametrize("name", ["direct", "waiting"])
def test_results_pass(name: str) -> None:
    assert _call(name, None) == "fine"


@pytest.mark.parametrize("name", ["direct", "waiting"])
@pytest.mark.parametrize("error", errors.error_table().values(), ids=lambda e: e.__name__)
def test_errors_of_the_table_keep_their_name(name: str, error: type[errors.OwnerdError]) -> None:
    with pytest.raises(DBusError) as caught:
        _call(name, error("told so"))
    assert (caught.value.type, caught.value.text) == (f"org.ownerd.Error.{error.__name__}", "told so")


@pytest.mark.parametrize("name", ["direct", "waiting"])
@pytest.mark.parametrize("kind", [Exception, ValueError, KeyError, RuntimeError, OSError, AssertionError])
def test_anything_else_is_a_reference(
    name: str, kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(DBusError) as caught:
        _call(name, kind("PIN 1234"))
    assert caught.value.type == "org.ownerd.Error.InternalError"
    reference = caught.value.text.removeprefix("internal error, reference ")
    assert len(reference) == 8
    (record,) = [r for r in caplog.records if r.name.startswith("ownerd")]
    line = record.getMessage()
    assert reference in line
    assert kind.__name__ in line
    assert "test_bus_guard.py:" in line
    assert "PIN" not in line
    assert record.exc_info is None
    # A traceback that somebody prints later does not lead back to it either.
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_causes_are_logged_by_type_and_place_only(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        try:
            raise KeyError("PIN 1234")
        except KeyError as error:
            raise ValueError("PIN 1234") from error

    try:
        fail()
    except ValueError as error:
        known_error(error)
    line = caplog.records[0].getMessage()
    assert "ValueError at " in line
    assert " from KeyError at " in line
    assert "PIN" not in line


def test_messages_are_one_bounded_line() -> None:
    text = error_message(errors.InvalidArgument("a\nb\x1b[31m\ud800" + "x" * 2000))
    assert text.startswith("a b [31m x")
    assert len(text) == MAX_MESSAGE_CHARACTERS
    assert as_dbus_error(errors.Busy("a\nb")).text == "a b"
