"""Debian's ``fido2-assert -V`` agrees: what the ledger stores of a touch is enough to verify it without us."""

import base64
import hashlib
import os
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization
from tests.rigs.ledgers import TestToken, small_ledger

from ownerd.ledger.approval import client_data
from ownerd.ledger.entry import challenge, parse_leaf
from ownerd.ledger.facts import parse_token, public_key

PROGRAM = shutil.which("fido2-assert")
EXTENSION = b"\xa1\x6bhmac-secret\x58\x40" + bytes(64)


@pytest.fixture(scope="module", autouse=True)
def program():
    if PROGRAM is None:
        if os.environ.get("CI"):
            pytest.fail("fido2-tools is not installed")
        pytest.skip("fido2-tools is not installed")


def cbor_bytes(data: bytes) -> bytes:
    """CBOR byte string (RFC 8949 section 3.1) of up to 255 bytes."""
    return (bytes([0x40 | len(data)]) if len(data) < 24 else bytes([0x58, len(data)])) + data


def accepts(folder, approval, token, digest: bytes) -> bool:
    """Run fido2-assert on what a leaf and a token-enrolled entry hold."""
    lines = (
        hashlib.sha256(client_data(digest)).digest(),
        b"ownerd:owner",
        cbor_bytes(approval.authenticator_data),
        approval.signature,
    )
    text = [one.decode() if index == 1 else base64.b64encode(one).decode() for index, one in enumerate(lines)]
    (folder / "assertion").write_text("\n".join(text) + "\n")
    pem = public_key(token.public_key).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (folder / "key.pem").write_bytes(pem)
    # -p: user presence is required; -v: and verification; -h: hmac-secret was asked for.
    options = ["-V", "-p", *(["-v"] if token.user_verification else [])]
    options += ["-h"] if approval.authenticator_data[32] & 0x80 else []
    run = subprocess.run(
        [PROGRAM, *options, "-i", folder / "assertion", folder / "key.pem", "es256"],
        capture_output=True,
        timeout=20,
        check=False,
    )
    return run.returncode == 0


def test_it_accepts_the_approvals_of_a_ledger(tmp_path):
    leaves = [parse_leaf(data) for _, data in small_ledger().tables.entries]
    tokens = {}
    for leaf in leaves:
        if leaf.core.kind == "token-enrolled":
            token = parse_token(leaf.core.facts["token"])
            tokens[token.id] = token
    approved = [leaf for leaf in leaves if leaf.approval]
    assert len(approved) == 8
    for leaf in approved:
        token = tokens[leaf.approval.token]
        assert accepts(tmp_path, leaf.approval, token, challenge(leaf.core))
    assert not accepts(tmp_path, approved[0].approval, tokens["token-1"], challenge(approved[1].core))


def test_it_accepts_an_approval_with_an_extension(tmp_path):
    token, digest = TestToken(), bytes(range(32))
    assert accepts(tmp_path, token.approve(digest, extensions=EXTENSION), token.enrolled, digest)
