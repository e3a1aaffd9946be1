"""Frozen values of the model: times, secrets, claims, errors, paths."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ownerd.model import errors, paths
from ownerd.model.claim import LABELS, Claim, claim_label, claim_name, claim_path, require_claim_name
from ownerd.model.clock import format_time, parse_time
from ownerd.model.errors import InvalidArgument, OwnerdError, PinWrong
from ownerd.model.secret import Secret


@given(st.integers(min_value=0, max_value=253_402_300_799_999))
def test_times_round_trip_and_sort_as_text(unix_ms: int):
    text = format_time(unix_ms)
    assert parse_time(text) == unix_ms
    assert format_time(unix_ms // 2) <= text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-23T14:00:00Z",
        "2026-13-23T14:00:00.000Z",
        "2026-11-23T24:00:00.000Z",
        "2026-11-23T14:60:00.000Z",
        "2026-02-29T14:00:00.000Z",
        "2026-11-23t14:00:00.000Z",
        "٢026-11-23T14:00:00.000Z",
    ],
)
def test_other_times_are_refused(text: str):
    with pytest.raises(InvalidArgument):
        parse_time(text)


def test_a_secret_shows_itself_nowhere():
    secret = Secret(b"hunter2")
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r:>30}".strip(), str([secret])):
        assert "hunter2" not in shown
    assert secret.reveal() == b"hunter2"
    assert len(secret) == 7
    assert secret == Secret(b"hunter2")
    assert secret != Secret(b"hunter3")
    assert secret != b"hunter2"
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        hash(secret)


def test_claim_names_are_those_of_the_table():
    for name in LABELS:
        assert require_claim_name(name) == name
        assert claim_name(claim_path(name)) == name
        assert Claim(name, "x", "test", "now", 1).path == claim_path(name)
    assert claim_label("address.locality") == "town"
    assert claim_label("x") == "x"
    with pytest.raises(InvalidArgument, match="known are"):
        require_claim_name("shoe_size")


def test_every_error_has_a_name_an_exit_code_and_no_abstract_is_in_the_table():
    table = errors.error_table()
    assert {"InvalidArgument", "PinWrong", "Tampered", "InternalError"} <= table.keys()
    assert not {"OwnerdError", "RequestError", "UserError", "TokenError", "LedgerError"} & table.keys()
    for name, error in table.items():
        assert error("x").id == name
        assert error("x").dbus_name == f"org.ownerd.Error.{name}"
        assert error.exit_code in {1, 2, 3, 4, 5}
        assert issubclass(error, OwnerdError)


def test_a_wrong_pin_counts_down():
    assert (str(PinWrong(tries_left=3)), PinWrong(tries_left=3).tries_left) == ("wrong PIN, 3 tries left", 3)
    assert str(PinWrong()) == "wrong PIN"


def test_paths_follow_xdg_and_ignore_relative_ones(monkeypatch):
    monkeypatch.setenv("HOME", "/h")
    monkeypatch.setenv("XDG_DATA_HOME", "/d")
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/r")
    assert str(paths.database_path()) == "/d/ownerd/ownerd.db"
    assert str(paths.config_dir()) == "/h/.config/ownerd"
    assert str(paths.session_key_path()) == "/r/ownerd/session-key.json"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert str(paths.runtime_dir()).startswith("/run/user/")
