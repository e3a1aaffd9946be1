"""``ledger prove`` and ``check-proof`` on a file, and the same proofs before an implementation that is not ours."""

import base64
import json
import os
import subprocess
from pathlib import Path

import pytest
from demo.stage import BIN
from tests.rigs.bus import require_rig
from tests.rigs.ledgers import small_ledger, write_database
from tests.rigs.long_ledgers import long_ledger
from tests.rigs.verifier import NODE, ROOM

from ownerctl.proof import proof_of
from ownerd.ledger.entry import parse_leaf
from ownerd.ledger.note import parse_verifier_key
from ownerd.ledger.opening import SealedOpening, open_opening
from ownerd.ledger.proof import format_proof, parse_proof
from ownerd.model.names import Kind

MAKER = long_ledger(300, "proofs")
KEY = MAKER.verifier_key


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return write_database(tmp_path_factory.mktemp("proof") / "ownerd.db", MAKER.tables)


def run(*arguments: object):
    command = [str(BIN / "ownerctl"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def stranger(data: bytes, key: str = KEY) -> str:
    """What sigstore-js makes of a proof."""
    require_rig(str(NODE))
    if not (ROOM / "node_modules" / "@sigstore").exists():
        assert not os.environ.get("CI"), "the npm packages of tests/verifier are missing"
        pytest.skip("the npm packages of tests/verifier are missing, ./dev test installs them")
    parsed, named = json.loads(data), parse_verifier_key(key)
    given = {
        "proof": parsed["proof"],
        "leaf": parsed["leaf"],
        "name": named.name,
        "keyId": named.key_id.hex(),
        "publicKey": base64.b64encode(named.public.public_bytes_raw()).decode(),
    }
    command = [str(NODE), str(ROOM / "check_proof.cjs")]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("seq", [0, 1, 100, 255, 256, 299])
def test_an_implementation_that_is_not_ours_accepts_our_proofs(path, seq):
    assert stranger(format_proof(proof_of(path, seq, {}))) == "proven"


def test_it_refuses_what_we_refuse(path):
    data = format_proof(proof_of(path, 100, {}))
    for changed in (
        data.replace(b"index 100", b"index 101"),
        data.replace(b'"leaf":"eyJ', b'"leaf":"eyK'),
    ):
        assert stranger(changed).startswith("refused")
    assert stranger(data, small_ledger().verifier_key).startswith("refused")


def test_prove_and_check(path, tmp_path):
    out = tmp_path / "proof.json"
    made = run("ledger", "prove", 100, "--file", path, "--out", out)
    assert made.returncode == 0, made.stderr
    assert out.stat().st_mode & 0o777 == 0o600
    done = run("ledger", "check-proof", out, "--key", KEY, "--json")
    said = json.loads(done.stdout)
    assert (done.returncode, said["ok"], said["signed"], said["entry"]) == (0, True, True, 100)
    assert any("approval" in one for one in said["proves_not"])


def test_without_a_key_it_says_that_nobody_vouches(path, tmp_path):
    out = tmp_path / "proof.json"
    run("ledger", "prove", 100, "--file", path, "--out", out)
    done = run("ledger", "check-proof", out)
    assert done.returncode == 0
    assert "not checked: no key was given" in done.stdout + done.stderr
    assert "the log's key signed" in done.stdout.partition("not proven")[2]


def test_a_proof_of_nothing(path, tmp_path):
    assert run("ledger", "prove", 10**6, "--file", path).returncode != 0
    assert run("ledger", "prove", 1, "--file", path, "--open", "provider").returncode == 2
    existing = tmp_path / "there"
    existing.write_text("mine")
    assert run("ledger", "prove", 1, "--file", path, "--out", existing).returncode != 0
    assert existing.read_text() == "mine"


def test_an_entry_that_is_not_signed_yet(tmp_path):
    file = write_database(tmp_path / "ownerd.db", small_ledger().tables)
    done = run("ledger", "prove", 19, "--file", file)
    assert done.returncode != 0
    assert "not signed yet" in done.stdout + done.stderr


def test_a_damaged_ledger_makes_no_proof(tmp_path):
    tables = small_ledger().tables
    tables.entries[4] = (4, tables.entries[4][1].replace(b"disclosure", b"owner-read"))
    file = write_database(tmp_path / "ownerd.db", tables)
    assert run("ledger", "prove", 2, "--file", file).returncode != 0


@pytest.mark.parametrize("data", [b"", b"{}\n", b"\x00" * 100, b"[" * 10_000, b"not a proof\n"])
def test_a_hostile_file_is_refused_by_name(tmp_path, data):
    file = tmp_path / "proof.json"
    file.write_bytes(data)
    done = run("ledger", "check-proof", file, "--key", KEY)
    assert done.returncode == 5
    assert "Malformed" in done.stdout + done.stderr


def test_a_value_with_control_characters_stays_one(tmp_path):
    """Who hands in a proof chooses its log, so its values are a stranger's text."""
    maker = small_ledger()
    seq = maker.append(Kind.OFFER, {"purpose": "\x1b[2J\x1b]0;owned\x07 fine"})
    wrapped, cipher = next((w, c) for at, w, c in maker.tables.openings if at == seq)
    leaf = parse_leaf(maker.tables.entries[seq][1])
    opened = open_opening(SealedOpening(wrapped, cipher), leaf.core, maker.opening_key)
    file = write_database(tmp_path / "ownerd.db", maker.tables)
    out = tmp_path / "proof.json"
    out.write_bytes(format_proof(proof_of(file, seq, opened)))
    assert parse_proof(out.read_bytes()).opened["purpose"].value.startswith("\x1b")
    for options in ((), ("--json",)):
        done = run("ledger", "check-proof", out, "--key", maker.verifier_key, *options)
        assert done.returncode == 0
        assert "\x1b" not in done.stdout + done.stderr
        assert "\x07" not in done.stdout + done.stderr
