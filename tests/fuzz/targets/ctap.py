"""A FIDO2 token's answers to CTAP commands: an act (1 byte), then answers as in ``piv``: honest, changed or made up."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from threading import Event
from typing import Any

from fido2.ctap import STATUS
from fido2.ctap2.base import Ctap2
from fido2.ctap2.pin import ClientPin
from tests.fuzz.chunks import Answers
from tests.fuzz.target import Target
from tests.fuzz.targets.piv import MARK, changed
from tests.rigs.softtoken import InProcessDevice, make_authenticator

from ownerd.ledger.approval import client_data
from ownerd.model.secret import Secret
from ownerd.model.token import SecretHandle, TokenCredential
from ownerd.softtoken.state import TokenState
from ownerd.tokens import verify
from ownerd.tokens.candidate import Candidate
from ownerd.tokens.faults import Undecided, as_token_errors
from ownerd.tokens.fido2_heads import _get, _put
from ownerd.tokens.limit import Limit
from ownerd.tokens.session import Permission, Session

PIN = b"2468ace"
MAX_COMMANDS = 500


class Device(InProcessDevice):
    """A software token whose answers are changed on the way."""

    def __init__(self, state: TokenState, answers: Answers) -> None:
        super().__init__(make_authenticator(state=state))
        self._answers, self._count = answers, 0

    def call(
        self,
        cmd: int,
        data: bytes = b"",
        event: Event | None = None,
        on_keepalive: Callable[[STATUS], None] | None = None,
    ) -> bytes:
        self._count += 1
        assert self._count < MAX_COMMANDS, "the token is asked without end"
        answer = self._answers.next() or b""
        if answer and answer[0] != MARK:
            return answer  # the honest one would be made for nothing
        return changed(super().call(cmd, data, event, on_keepalive), answer)


def _session(state: TokenState, answers: Answers) -> Session:
    device = Device(state, answers)
    return Session(Candidate("software-1", "software", "token", lambda _: device), Limit())


@cache
def _enrolled(*, with_pin: bool) -> tuple[TokenState, TokenCredential]:
    state = TokenState()
    if with_pin:
        ClientPin(Ctap2(InProcessDevice(make_authenticator(state=state)))).set_pin(PIN.decode())
    session = _session(state, Answers(b""))
    session.open()
    if with_pin:
        session.enter_pin(Secret(PIN), Permission.MAKE_CREDENTIAL)
    return state, session.make_credential(session.describe(), user_verification=with_pin)


def _approve(session: Session, credential: TokenCredential) -> None:
    handles = [SecretHandle(bytes(32)), SecretHandle(bytes([1]) * 32)]
    if credential.user_verification:
        session.enter_pin(Secret(PIN), Permission.GET_ASSERTION)
    session.prepare(handles)
    challenge = bytes(32)
    signed = client_data(challenge)
    answer, secrets = session.get_assertion(credential, verify.hashlib.sha256(signed).digest(), handles)
    verify.verify_approval(answer, credential, challenge, signed)
    verify.verify_secrets(secrets, handles, lambda secret: secret.reveal())


def _enrol(session: Session, credential: TokenCredential) -> None:
    info = session.describe()
    session.require_supported()
    if info.has_pin:
        session.require_pin_tries()
        session.enter_pin(Secret(PIN), Permission.MAKE_CREDENTIAL)
    made = session.make_credential(info, user_verification=credential.user_verification)
    assert made.credential_id


def _heads(session: Session, credential: TokenCredential) -> None:
    if credential.user_verification:
        session.enter_pin(Secret(PIN), Permission.LARGE_BLOB_WRITE)
    _put(session, credential, b"a head", _get(session, credential))
    with as_token_errors():
        blobs, key = session.large_blobs(credential)
        assert len(key) == 32
        blobs.read_blob_array()


def _preflight(session: Session, credential: TokenCredential) -> None:
    session.describe()
    assert session.held([credential] * 2) is not None


def _set_pin(session: Session, credential: TokenCredential) -> None:
    session.require_pin_support()
    session.set_pin(Secret(PIN) if credential.user_verification else None, Secret(b"another pin"))


_ACTS: tuple[Callable[[Session, TokenCredential], Any], ...] = (
    _preflight,
    _enrol,
    _approve,
    _heads,
    _set_pin,
)


def run(data: bytes) -> None:
    answers = Answers(data)
    choice = answers.byte()
    state, credential = _enrolled(with_pin=bool(choice & 0x80))
    session = _session(copy.deepcopy(state), answers)
    try:
        session.open()
        _ACTS[(choice & 0x7F) % len(_ACTS)](session, credential)
    finally:
        session.close()


TARGET = Target(
    "ctap",
    run,
    words=(
        b"\x00\x00", b"\x00\x01\x2e", b"\x00\x01\x7f", b"\x00\xa1", b"\x00\x04\xee\x00\x01\xff", b"\x5f", b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xa1\x01", b"\xbf", b"\xf6", b"\xf9\x7e\x00", b"\x81" * 64, b"hmac-secret", b"clientPin", b"\x58\x20", b"public-key", b"\xc1", b"\x3b",
    ),
    may_raise=(Undecided,),
)  # fmt: skip
