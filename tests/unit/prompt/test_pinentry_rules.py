"""Which pinentry, which environment, which PIN: the rules that need no program."""

from __future__ import annotations

import pytest

from ownerd.model.caller import Terminal
from ownerd.model.errors import ConfigError, InvalidArgument
from ownerd.prompt import programs
from ownerd.prompt.pinentry import _label, _require_flavor, _typed
from ownerd.prompt.terminal import pinentry_options

SESSION = {
    "PATH": "/usr/bin",
    "HOME": "/home/o",
    "LANG": "de_DE.UTF-8",
    "DISPLAY": ":0",
    "WAYLAND_DISPLAY": "wayland-0",
    "XAUTHORITY": "/run/x",
    "XDG_RUNTIME_DIR": "/run/user/1",
    "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/1/bus",
    "AT_SPI_BUS_ADDRESS": "unix:path=/run/a",
    "GTK_IM_MODULE": "ibus",
    "QT_IM_MODULE": "ibus",
    "LD_PRELOAD": "/tmp/x.so",
    "GTK_MODULES": "x",
    "QT_PLUGIN_PATH": "/tmp",
}


def test_a_graphical_child_gets_the_display_and_no_bus() -> None:
    child = programs.child_environment(SESSION, graphical=True)
    assert child.pop("DBUS_SESSION_BUS_ADDRESS") == "disabled:"
    assert set(child) == {
        "PATH", "LANG", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR", "NO_AT_BRIDGE",
    }  # fmt: skip


def test_a_child_on_a_terminal_gets_no_display() -> None:
    child = programs.child_environment(SESSION, graphical=False)
    assert set(child) == {"PATH", "LANG", "DBUS_SESSION_BUS_ADDRESS", "NO_AT_BRIDGE"}


@pytest.mark.parametrize(
    ("flavor", "terminal", "display"),
    [
        (b"tty", True, False),
        (b"curses", True, False),
        (b"qt", False, True),
        (b"qt5", False, True),
        (b"gtk2", False, True),
        (b"gtk2:curses", True, False),
        (b"qt:curses", True, False),
        (b"gnome3", False, False),
        (b"gnome3:curses", False, False),
        (b"kwallet", False, False),
        (b"emacs", False, False),
        (b"emacs:curses", False, False),
        (b"mac", False, False),
        (b"", False, False),
        (b"qt ", False, False),
        (b"tty:gnome3", True, False),
        (b"\xff", False, False),
    ],
)
def test_flavors(flavor: bytes, terminal: bool, display: bool) -> None:
    for graphical, fits in ((False, terminal), (True, display)):
        if fits:
            _require_flavor(flavor, graphical=graphical)
        else:
            with pytest.raises(ConfigError):
                _require_flavor(flavor, graphical=graphical)


@pytest.mark.parametrize(
    ("typed", "pin"),
    [
        (b"1234", b"1234"),
        (b"x" * 63, b"x" * 63),
        ("pa\u0308ss".encode(), "päss".encode()),
        ("\u20ac1".encode(), "€1".encode()),
    ],
)
def test_a_pin_is_composed_utf8(typed: bytes, pin: bytes) -> None:
    assert _typed(typed, "PIN").reveal() == pin


@pytest.mark.parametrize(
    "typed", [b"", b"1", b"123", b"x" * 64, b"12\x0034", b"\xff\xfe1234", "\u212b1".encode()]
)
def test_a_bad_pin_is_refused_without_its_value(typed: bytes) -> None:
    with pytest.raises(InvalidArgument) as caught:
        _typed(typed, "PIN")
    assert caught.value.__cause__ is None
    assert "xxx" not in str(caught.value)


def test_a_management_key_has_a_bound_of_its_own() -> None:
    spaced = b" ".join([b"00112233"] * 8)
    for typed in (b"0" * 64, spaced, b"0" * 128):
        assert _typed(typed, "Key").reveal() == typed
    for asks, typed in (("Key", b"0" * 129), ("Code", b"0" * 64), ("PIN", b"0" * 64)):
        with pytest.raises(InvalidArgument, match=f"a {asks.lower() if asks != 'PIN' else asks} has 4 to"):
            _typed(typed, asks)


def test_an_underscore_in_a_label_is_no_accelerator() -> None:
    assert _label("a_b") == "a__b"


def test_a_terminal_is_always_spoken_to_in_utf8() -> None:
    assert pinentry_options(Terminal("/dev/pts/3", "xterm", "de_DE.ISO-8859-1")) == [
        "ttyname=/dev/pts/3", "ttytype=xterm", "lc-ctype=C.UTF-8", "lc-messages=de_DE.ISO-8859-1",
    ]  # fmt: skip
    assert pinentry_options(Terminal("/dev/pts/3", "x\ny", "a b")) == [
        "ttyname=/dev/pts/3", "ttytype=dumb", "lc-ctype=C.UTF-8",
    ]  # fmt: skip
