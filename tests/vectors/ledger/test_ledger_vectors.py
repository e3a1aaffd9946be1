"""The stored vectors: they are what their generator makes, and the code agrees with them."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ownerd.ledger import approval, entry, merkle, note
from ownerd.ledger.facts import parse_token
from ownerd.ledger.findings import Damage
from ownerd.model import errors
from ownerd.model.encoding import parse_b64u
from ownerd.model.names import Kind
from ownerd.model.token import CardApproval, RecoveryApproval

HERE = Path(__file__).parent
TREE, NOTE, LEAF, APPROVAL = (
    json.loads((HERE / f"{name}.json").read_text()) for name in ("tree", "note", "leaf", "approval")
)


def expecting(expect: str):
    if expect == "ok":
        return pytest.MonkeyPatch.context()  # a context that expects nothing
    return pytest.raises(errors.error_table()[expect])


def test_the_files_are_what_the_generator_makes():
    spec = importlib.util.spec_from_file_location("ledger_vectors_generate", HERE / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    for name, text in generate.build().items():
        assert (HERE / name).read_text() == text


def test_roots():
    hashes = [merkle.leaf_hash(bytes.fromhex(one)) for one in TREE["leaves"]]
    frontier = merkle.Frontier()
    for leaf, root in zip(hashes, TREE["roots"], strict=True):
        frontier.append(leaf)
        assert frontier.root().hex() == root


def test_proofs():
    hashes = [merkle.leaf_hash(bytes.fromhex(one)) for one in TREE["leaves"]]
    roots = [bytes.fromhex(one) for one in TREE["roots"]]
    for vector in TREE["inclusion"]:
        index, size = vector["index"], vector["size"]
        proof = merkle.inclusion_proof(hashes[:size], index)
        assert [one.hex() for one in proof] == vector["proof"]
        merkle.verify_inclusion(hashes[index], index, size, proof, roots[size - 1])
    for vector in TREE["consistency"]:
        first, second = vector["first"], vector["second"]
        proof = merkle.consistency_proof(hashes[:second], first)
        assert [one.hex() for one in proof] == vector["proof"]
        merkle.verify_consistency(first, second, roots[first - 1], roots[second - 1], proof)


@pytest.mark.parametrize("vector", NOTE["notes"], ids=lambda one: one["case"])
def test_notes(vector):
    key = note.parse_verifier_key(NOTE["keys"]["neumann"])
    with expecting(vector["expect"]):
        assert note.open_note(vector["note"].encode(), key).startswith(b"If you think")


@pytest.mark.parametrize("vector", NOTE["verifier_keys"], ids=lambda one: one["case"])
def test_verifier_keys(vector):
    with expecting(vector["expect"]):
        key = note.parse_verifier_key(vector["key"])
        assert note.format_verifier_key(key.name, key.public) == vector["key"]


def test_a_checkpoint_of_the_go_checksum_database():
    vector, key = NOTE["sumdb"], note.parse_verifier_key(NOTE["keys"]["sumdb"])
    found = note.parse_checkpoint(note.open_note(vector["note"].encode(), key))
    assert (found.origin, found.size, found.root.hex()) == (vector["origin"], vector["size"], vector["root"])


def test_a_checkpoint_of_ours_byte_for_byte():
    vector = NOTE["ours"]
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(vector["seed"]))
    assert note.format_verifier_key(vector["name"], key.public_key()) == vector["verifier_key"]
    text = note.format_checkpoint(vector["name"], vector["size"], bytes.fromhex(vector["root"]))
    assert note.sign_note(text, vector["name"], key).decode() == vector["note"]


def test_a_leaf_byte_for_byte():
    leaf = entry.parse_leaf(LEAF["leaf"].encode())
    assert entry.format_leaf(leaf).decode() == LEAF["leaf"]
    assert entry.format_core(leaf.core).decode() == LEAF["core"]
    assert entry.challenge(leaf.core).hex() == LEAF["challenge"]
    assert merkle.leaf_hash(LEAF["leaf"].encode()).hex() == LEAF["leaf_hash"]


@pytest.mark.parametrize("vector", APPROVAL["cards"], ids=lambda one: one["algorithm"])
def test_an_approval_of_a_card(vector):
    digest = bytes.fromhex(APPROVAL["challenge"])
    assert approval.card_message(digest).hex() == APPROVAL["card_message"]
    facts = {"type": "piv", "id": "card", "software": False}
    token = parse_token(facts | {name: vector[name] for name in ("public_key", "algorithm")})
    signature = parse_b64u(vector["signature"])
    approval.verify_card(CardApproval("card", vector["algorithm"], signature), digest, token)
    with pytest.raises(errors.BadSignature):
        approval.verify_card(CardApproval("card", vector["algorithm"], signature), bytes(32), token)


def test_an_approval_of_a_recovery_code():
    digest, vector = bytes.fromhex(APPROVAL["challenge"]), APPROVAL["recovery"]
    assert approval.recovery_message(digest).hex() == APPROVAL["recovery_message"]
    given, key = RecoveryApproval(parse_b64u(vector["signature"])), parse_b64u(vector["public_key"])
    approval.verify_recovery(given, digest, key)
    with pytest.raises(errors.BadSignature):
        approval.verify_recovery(given, bytes(32), key)


def test_a_commitment():
    vector = LEAF["commitment"]
    digest = entry.commit(vector["label"], parse_b64u(vector["salt"]), vector["value"])
    assert digest.hex() == vector["digest"]


def test_the_page_names_every_finding_and_every_kind():
    page = (HERE.parents[2] / "docs" / "LEDGER.md").read_text()
    table = re.findall(r"^\| `(\w+)` \| [0-9, ]+ \|", page, re.MULTILINE)
    assert sorted(table) == sorted(Damage)
    for kind in Kind:
        assert f"`{kind}`" in page
