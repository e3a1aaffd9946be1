"""What the software token is asked: CTAP commands as `tests.fuzz.chunks` has them. It answers every one, with a status."""

from __future__ import annotations

from tests.fuzz.chunks import Answers
from tests.fuzz.target import Target
from tests.rigs.softtoken import make_authenticator

MAX_COMMANDS = 8


def run(data: bytes) -> None:
    requests, authenticator = Answers(data), make_authenticator()
    for _ in range(MAX_COMMANDS):
        request = requests.next()
        if request is None:
            break
        assert authenticator.call(request)


TARGET = Target(
    "softtoken",
    run,
    words=(b"\x04", b"\x01\xa4", b"\x02\xa3", b"\x06\xa2\x01\x02\x02", b"\x0c\xa2", b"\x08", b"\x07", b"\x58\x20", b"public-key", b"hmac-secret"),
)  # fmt: skip
