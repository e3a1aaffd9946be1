"""Proofs from kept nodes are the proofs of all leaves, at every size and place."""

import hashlib

import pytest

from ownerd.ledger.merkle import Frontier, inclusion_proof, verify_inclusion
from ownerd.ledger.nodes import CHUNK, Nodes
from ownerd.model.errors import InvalidArgument

HASHES = [hashlib.sha256(b"%d" % number).digest() for number in range(2100)]


def nodes(size: int) -> tuple[Nodes, list[int]]:
    asked: list[int] = []

    def read(start: int, end: int) -> list[bytes]:
        asked.append(end - start)
        return HASHES[start:end]

    return Nodes(HASHES[:size], read), asked


@pytest.mark.parametrize(
    "size", [1, 2, 3, 255, 256, 257, 511, 512, 513, 767, 768, 1023, 1024, 1025, 1536, 2047, 2048, 2100]
)
def test_every_kind_of_place_in_every_kind_of_tree(size):
    kept, asked = nodes(2100)
    root = Frontier.from_leaf_hashes(HASHES[:size]).root()
    assert kept.root(size) == root
    for index in {0, size // 3, size // 2, size - 1, max(0, size - 2), min(size - 1, 256)}:
        proof = kept.inclusion_proof(index, size)
        assert proof == inclusion_proof(HASHES[:size], index)
        verify_inclusion(HASHES[index], index, size, proof, root)
    assert max(asked) <= CHUNK, "it never asks for more leaves than one chunk"


def test_a_proof_asks_for_few_leaves():
    kept, asked = nodes(2100)
    kept.inclusion_proof(1000, 2100)
    assert sum(asked) <= 2 * CHUNK


@pytest.mark.parametrize(("index", "size"), [(-1, 5), (5, 5), (0, 0), (0, 2101), (2100, 2100)])
def test_there_is_no_proof_outside_of_the_tree(index, size):
    kept, _ = nodes(2100)
    with pytest.raises(InvalidArgument):
        kept.inclusion_proof(index, size)


@pytest.mark.parametrize("size", [-1, 0, 2101])
def test_there_is_no_root_outside_of_the_tree(size):
    kept, _ = nodes(2100)
    with pytest.raises(InvalidArgument):
        kept.root(size)
