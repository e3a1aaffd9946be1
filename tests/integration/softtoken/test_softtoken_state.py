"""The sealed state file on a real file system."""

from __future__ import annotations

import os
import stat

import pytest
from fido2 import cbor

from ownerd.softtoken.failure import StateError
from ownerd.softtoken.state import Credential, SealedFile, TokenState, format_state, parse_state

FAST = 2**4
CREDENTIAL = Credential(
    id=b"i" * 32,
    rp_id="ownerd:owner",
    user={"id": b"u", "name": "Zoë"},
    private_key=b"k" * 32,
    discoverable=True,
    protect=2,
    large_blob_key=b"l" * 32,
    secret_with_uv=b"v" * 32,
    secret_without_uv=b"w" * 32,
    order=7,
)
STATE = TokenState({CREDENTIAL.id: CREDENTIAL}, b"p" * 16, 5, 99, b"blob")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tokens" / "1.token"


def _file(path, passphrase=b"passphrase", n=FAST):
    return SealedFile(path, passphrase, scrypt_n=n)


def _saved(path):
    file = _file(path)
    file.create()
    file.save(STATE)
    file.close()


def test_format_and_parse_are_inverses() -> None:
    assert parse_state(format_state(STATE)) == STATE


def test_what_was_saved_is_loaded_and_nothing_is_readable_without_the_passphrase(path) -> None:
    _saved(path)
    assert _file(path).load() == STATE
    data = path.read_bytes()
    for secret in (CREDENTIAL.private_key, CREDENTIAL.id, b"ownerd:owner", CREDENTIAL.secret_with_uv):
        assert secret not in data


def test_the_file_and_its_directory_are_for_the_owner_alone(path) -> None:
    _saved(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.parent.chmod(0o755)
    with pytest.raises(StateError, match="chmod 700"):
        _file(path)


def test_a_wrong_passphrase_is_said_to_be_one(path) -> None:
    _saved(path)
    with pytest.raises(StateError, match="wrong passphrase"):
        _file(path, b"Passphrase").load()


def test_every_flipped_byte_is_noticed(path) -> None:
    _saved(path)
    good = path.read_bytes()
    file = _file(path)
    for at in range(len(good)):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        with pytest.raises(StateError):
            file.load()
    path.write_bytes(good)
    assert file.load() == STATE


def test_every_truncation_is_noticed(path) -> None:
    _saved(path)
    good = path.read_bytes()
    file = _file(path)
    for size in range(len(good)):
        path.write_bytes(good[:size])
        with pytest.raises(StateError):
            file.load()


@pytest.mark.parametrize("n", [2**14, 2**21, 3 * 2**15])
def test_a_cost_that_is_too_low_too_high_or_odd_is_refused(path, n) -> None:
    _saved(path)
    header = dict(cbor.decode(path.read_bytes()))
    path.write_bytes(cbor.encode({**header, "n": n}))
    with pytest.raises(StateError, match="not a state file"):
        _file(path, n=2**16).load()


def test_each_write_has_its_own_nonce(path) -> None:
    file = _file(path)
    file.create()
    nonces = set()
    for _ in range(20):
        file.save(STATE)
        nonces.add(cbor.decode(path.read_bytes())["nonce"])
    assert len(nonces) == 20


def test_a_token_is_never_overwritten_and_never_invented(path) -> None:
    file = _file(path)
    with pytest.raises(StateError, match="--new"):
        file.load()
    file.close()
    _saved(path)
    with pytest.raises(StateError, match="exists already"):
        _file(path).create()


def test_one_process_at_a_time_holds_the_file(path) -> None:
    first = _file(path)
    with pytest.raises(StateError, match="another ownerd-softtoken"):
        _file(path)
    first.close()
    _file(path).close()


def test_a_link_is_not_followed(path, tmp_path) -> None:
    _saved(path)
    moved = path.rename(tmp_path / "elsewhere")
    path.symlink_to(moved)
    with pytest.raises(StateError, match="cannot read"):
        _file(path).load()


def test_a_write_that_fails_leaves_the_old_state(path, monkeypatch) -> None:
    _saved(path)
    file = _file(path)
    file.load()

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            file.save(TokenState())
    file.close()
    again = _file(path)
    assert again.load() == STATE
    again.save(TokenState(counter=3))
    assert again.load().counter == 3
