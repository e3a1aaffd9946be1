"""Real pcscd, a virtual reader, and our authenticator as the card in it.

Tests marked ``in_pcsc_rig`` run in a pytest of their own inside a mount and network namespace with its own
pcscd; their reports come back and count here. Where the rig cannot stand they skip, or fail when CI is set.
All marked tests of one file share one pcscd, each with a card of its own::

    pytestmark = pytest.mark.in_pcsc_rig

    def test_x(nfc_token):
        device = nfc_token.open()
"""

from __future__ import annotations

import functools
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("tests.rigs.softtoken")

from tests.rigs._ctap_nfc import CtapNfcApplet
from tests.rigs._pcsc_namespace import RIG_BROKEN, VPCD_LIBRARY, VPCD_PORT
from tests.rigs.softtoken import Person, make_authenticator

from ownerd.softtoken.authenticator import Authenticator
from ownerd.softtoken.state import TokenState

MARKER = "in_pcsc_rig"
REPORTS = "OWNERD_PCSC_RIG_REPORTS"
ATR = bytes.fromhex("3B80800101")
POWER_OFF, POWER_ON, RESET, GET_ATR = b"\0", b"\1", b"\2", b"\4"


# -- running tests inside --


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MARKER}: runs next to a pcscd of its own, in a namespace")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    if item.get_closest_marker(MARKER) is None or REPORTS in os.environ:
        return None
    hook = item.ihook
    hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in _reports(item):
        hook.pytest_runtest_logreport(report=report)
    hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    # What an earlier local test of this file has set up ends here, or the next file finds it standing.
    call = pytest.CallInfo.from_call(
        lambda: item.session._setupstate.teardown_exact(nextitem), when="teardown"
    )
    if call.excinfo is not None:
        hook.pytest_runtest_logreport(report=pytest.TestReport.from_item_and_call(item, call))
    return True


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["ownerd_dist"] = node.config.option.dist


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if REPORTS in os.environ and _config:
        data = _config[0].hook.pytest_report_to_serializable(config=_config[0], report=report)
        with Path(os.environ[REPORTS]).open("a") as file:
            file.write(json.dumps(data) + "\n")


_config: list[pytest.Config] = []
_results: dict[str, list[Any]] = {}


def pytest_sessionstart(session: pytest.Session) -> None:
    _config[:] = [session.config]


def _reports(item: pytest.Item) -> list[Any]:
    if item.nodeid not in _results:
        # Workers of a parallel run each see every test: there, one rig a test, unless files stay together.
        workerinput = getattr(item.config, "workerinput", {"ownerd_dist": "loadfile"})
        alone = workerinput.get("ownerd_dist") != "loadfile"
        items = [
            other
            for other in item.session.items
            if other is item or (not alone and other.path == item.path and other.get_closest_marker(MARKER))
        ]
        _results.update(_run_inside(items))
    return _results[item.nodeid]


def _run_inside(items: list[pytest.Item]) -> dict[str, list[Any]]:
    config = items[0].config
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "reports"
        path.touch()
        command = [*_unshare(), sys.executable, str(Path(__file__).with_name("_pcsc_namespace.py"))]
        command += [sys.executable, "-m", "pytest", "-p", "no:xdist", "-p", "no:cov", "-q"]
        done = subprocess.run(
            [*command, *(item.nodeid for item in items)],
            cwd=config.rootpath,
            env={**os.environ, REPORTS: str(path)},
            check=False,
            capture_output=True,
            text=True,
        )
        found: dict[str, list[Any]] = {item.nodeid: [] for item in items}
        for line in path.read_text().splitlines():
            report = config.hook.pytest_report_from_serializable(config=config, data=json.loads(line))
            if isinstance(report.longrepr, list):  # JSON made a list of a skip's (path, line, reason)
                report.longrepr = tuple(report.longrepr)
            found.setdefault(report.nodeid, []).append(report)
    reason = f"exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    skip = not any(found.values()) and _is_missing(done.returncode) and not os.environ.get("CI")
    for item in items:
        # Without its teardown a test has not ended: the process died under it.
        if not any(report.when == "teardown" for report in found[item.nodeid]):
            found[item.nodeid].append(_ending(item, reason, skip=skip))
    return found


def _is_missing(status: int) -> bool:
    return status == RIG_BROKEN or not VPCD_LIBRARY.exists() or not _can_unshare()


@functools.cache
def _can_unshare() -> bool:
    return subprocess.run([*_unshare(), "true"], check=False, capture_output=True).returncode == 0


def _unshare() -> list[str]:
    # As root in a bare root --map-root-user does not work, and it is not needed.
    return ["unshare", "--mount", "--net", *([] if os.getuid() == 0 else ["--map-root-user"]), "--"]


def _ending(item: pytest.Item, reason: str, *, skip: bool) -> pytest.TestReport:
    where = (str(item.path), item.location[1] or 0, f"no PC/SC rig: {reason}")
    outcome = "skipped" if skip else "failed"
    return pytest.TestReport(item.nodeid, item.location, {}, outcome, where if skip else where[2], "call")


# -- the card --


class VpcdCard:
    """The card side of vpcd: length-prefixed APDUs on a TCP connection; connecting is inserting."""

    def __init__(self, applet: CtapNfcApplet, *, port: int = VPCD_PORT) -> None:
        self._applet = applet
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self._socket.settimeout(None)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def remove(self) -> None:
        """Take the card out."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._socket.close()
        self._applet.power_off()

    def _receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            # Without this, delayed acknowledgements cost 50 ms an APDU; the kernel forgets it each time.
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            part = self._socket.recv(size - len(data))
            if not part:
                raise ConnectionError
            data += part
        return data

    def _send(self, data: bytes) -> None:
        self._socket.sendall(len(data).to_bytes(2) + data)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                message = self._receive(int.from_bytes(self._receive(2)))
                if message == GET_ATR:
                    self._send(ATR)
                elif message == POWER_OFF:
                    self._applet.power_off()
                elif message in {POWER_ON, RESET}:
                    self._applet.power_on()
                else:
                    self._send(self._applet.transmit(message))


class NfcToken:
    """A software token in the reader. Each power-up is a new `Authenticator` on the same ``state``."""

    def __init__(self, person: Person, authenticator_type: type[Authenticator] = Authenticator) -> None:
        self.person = person
        self.state = TokenState()
        self.applet = CtapNfcApplet(
            lambda: make_authenticator(person, state=self.state, authenticator_type=authenticator_type)
        )
        self.card: VpcdCard | None = None

    @property
    def authenticator(self) -> Authenticator:
        """The authenticator of this power cycle."""
        assert self.applet.authenticator is not None
        return self.applet.authenticator

    def insert(self) -> None:
        """Put the card in, and wait until pcscd sees it."""
        self.card = VpcdCard(self.applet)
        wait_for_card(0, present=True)

    def remove(self) -> None:
        """Take the card out, and wait until pcscd sees it."""
        if self.card is not None:
            self.card.remove()
            self.card = None
            wait_for_card(0, present=False)

    def open(self) -> Any:
        """The card as a `CtapPcscDevice`."""
        from fido2.pcsc import CtapPcscDevice

        return next(CtapPcscDevice.list_devices())


def wait_for_card(slot: int, *, present: bool) -> None:
    """Wait until pcscd sees the card of a slot, powered, or sees it gone."""
    from smartcard import scard

    result, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
    assert result == 0
    deadline = time.monotonic() + 5
    try:
        while time.monotonic() < deadline:
            _, readers = scard.SCardListReaders(context, [])
            states = [(name, scard.SCARD_STATE_UNAWARE) for name in readers[slot : slot + 1]]
            result, found = scard.SCardGetStatusChange(context, 0, states)
            _, state, atr = found[0] if found else (0, 0, [])
            # A card that was seen is not yet powered, and one that does not answer has not yet gone.
            if (present and atr) or (not present and state & scard.SCARD_STATE_EMPTY):
                return
            time.sleep(0.02)
    finally:
        scard.SCardReleaseContext(context)
    raise AssertionError(f"pcscd did not see the card {'come' if present else 'go'}")


@contextmanager
def other_program(*, exclusive: bool = False, transaction: bool = False, slot: int = 0) -> Iterator[Any]:
    """Another client of the card; yields what exchanges an APDU."""
    from smartcard import scard

    _, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
    _, readers = scard.SCardListReaders(context, [])
    mode = scard.SCARD_SHARE_EXCLUSIVE if exclusive else scard.SCARD_SHARE_SHARED
    result, handle, _ = scard.SCardConnect(context, readers[slot], mode, scard.SCARD_PROTOCOL_T1)
    assert result == 0
    if transaction:
        assert scard.SCardBeginTransaction(handle) == 0

    def transmit(text: str) -> str:
        status, answer = scard.SCardTransmit(handle, scard.SCARD_PCI_T1, list(bytes.fromhex(text)))
        return bytes(answer).hex() if status == 0 else f"error {status & 0xFFFFFFFF:08x}"

    try:
        yield transmit
    finally:
        if transaction:
            scard.SCardEndTransaction(handle, scard.SCARD_LEAVE_CARD)
        scard.SCardDisconnect(handle, scard.SCARD_LEAVE_CARD)
        scard.SCardReleaseContext(context)


@pytest.fixture
def nfc_tokens() -> Iterator[Any]:
    """Makes tokens for the reader, not yet inserted: ``nfc_tokens(person=…, authenticator_type=…)``."""
    assert REPORTS in os.environ, f"mark the test with {MARKER}"
    made: list[NfcToken] = []

    def make(person: Person | None = None, **options: Any) -> NfcToken:
        made.append(NfcToken(person or Person(), **options))
        return made[-1]

    yield make
    for token in made:
        token.remove()


@pytest.fixture
def nfc_token(nfc_tokens: Any) -> NfcToken:
    """A new software token in the reader, without a PIN; its person touches at once."""
    token: NfcToken = nfc_tokens()
    token.insert()
    return token
