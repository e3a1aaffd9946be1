"""The real process: its terminal, its socket, its file."""

from __future__ import annotations

import pytest
from fido2.ctap2 import Ctap2

RP = {"id": "ownerd:owner", "name": "ownerd"}
USER = {"id": b"owner", "name": "owner"}
ES256 = [{"type": "public-key", "alg": -7}]
HASH = b"h" * 32


@pytest.mark.parametrize("pty", [False, True])
def test_enter_is_the_touch_on_a_pipe_and_on_a_terminal(softtoken_processes, pty) -> None:
    token = softtoken_processes(pty=pty).ready()
    token.touch_always()
    with token.connect() as device:
        ctap = Ctap2(device)
        made = ctap.make_credential(HASH, RP, USER, ES256)
        data = made.auth_data.credential_data
        answer = ctap.get_assertion("ownerd:owner", HASH, [{"type": "public-key", "id": data.credential_id}])
    answer.verify(HASH, data.public_key)
    assert 'approve for "ownerd:owner"' in token.output
