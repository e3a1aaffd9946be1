"""Make the ledger's vectors: ``python tests/vectors/ledger/generate.py`` rewrites the JSON files beside it.

A test runs `build` and compares. Trees and proofs are computed here by the recursive definitions of RFC 6962
section 2.1, not by the code under test. What came from elsewhere says from where.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

HERE = Path(__file__).parent
# The tree of the Certificate Transparency reference implementation (its merkle tree tests).
CT_LEAVES = (
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
)
CT_ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NEUMANN_NOTE = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
SUMDB = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
SUMDB_NOTE = (
    "go.sum database tree\n63096908\n8lHrQPRYe4KT4WQ9/Qk8/taKnD6IRHbFgfN7vQE2Y54=\n\n"
    "— sum.golang.org Az3gri/oVBN1jAhNZ/iS+W31psFAWRT20/GyrhpU6taFwulQGetBkH5S7wpGXdS935jiIGiUUAXBVHzT/P6fYhqAmAk=\n"
)
# An RSA key of 2048 bits that was made for these vectors and is used nowhere else: modulus and private exponent.
RSA_N = (
    "u6TVzprGZGs6X8Jize9hzvZCt_II0RQO4WJxnobOyRmihUaCTT0LxGtWbEV0TerT8SpUjXxhfnLqfDdRpcGlWk8ojBPSI5dx"
    "2Rajfs51oZZRzUQEJ3yrH6wKyhxlRbXFl2pO6TRdlYfS0A2PRN_d7ugS9DWQh1gKqjhBZRIVPzhkiY7aT1dS9xSgMSa_xecA"
    "JeSOdH-b6ggJO93vOnIPaodqfwwNjvlXzDBB3KAeY5f2JAVRtnfMzR-dg9CG8uG4nLAj1iIvJY557iFXlRq-o1azefm5Ikcu"
    "NRRf2YliFFWURqjBlUbA0kt1sfSsYx4Vx3jP-91szF13CU0BEK_BtQ"
)
RSA_D = (
    "C6_-qTm2tbaAEkrXQKByZSOtkCuBJRSswJkTHp6i7p-sIcT8hLcSro9I-MFytw-zV8gdMBrZL7kUpdwEN-DR3cgkbGUnp5Pd"
    "QXpJgLJ3XTMxsSlVYOhA-F4M5f3SyP7DaeTzOU9LrO6i0NanX9DZz_GgjJlxgRyYvXV3jUYNELzk7m_AxV6YojgWfA1M-Q7v"
    "HkKdtIOP10k8pz5RO25aERE6zN_NKB18FUZuIK5EBuJKa1wT52E5iP9G38G9BqKyixdXKXxuOS0XMlTYtlzrAcGsz3WS2Cx0"
    "oS3Me-xFBcPVOr4u2y5dXm83QlL7WtKwJWtz39iLEleoyPMmwqEggQ"
)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def mth(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, over leaf bytes."""
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0])
    k = largest_power_below(len(leaves))
    return sha256(b"\1" + mth(leaves[:k]) + mth(leaves[k:]))


def largest_power_below(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    """PATH(m, D[n]) of section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = largest_power_below(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: list[bytes], *, whole: bool) -> list[bytes]:
    """SUBPROOF(m, D[n], b) of section 2.1.2."""
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = largest_power_below(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], whole=whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], whole=False), mth(leaves[:k])]


def tree_vectors() -> dict:
    leaves = [bytes.fromhex(one) for one in CT_LEAVES]
    inclusion, consistency = [], []
    for size in range(1, 9):
        for index in range(size):
            proof = [one.hex() for one in path(index, leaves[:size])]
            inclusion.append({"index": index, "size": size, "proof": proof, "expect": "ok"})
        for first in range(1, size + 1):
            proof = [one.hex() for one in subproof(first, leaves[:size], whole=True)]
            consistency.append({"first": first, "second": size, "proof": proof, "expect": "ok"})
    assert [mth(leaves[:n]).hex() for n in range(1, 9)] == list(CT_ROOTS)
    return {
        "provenance": "leaves and roots: Certificate Transparency reference tests; proofs: RFC 6962 definitions",
        "generator": "tests/vectors/ledger/generate.py",
        "leaves": list(CT_LEAVES),
        "roots": list(CT_ROOTS),
        "inclusion": inclusion,
        "consistency": consistency,
    }


def spoiled_notes() -> list[dict]:
    """The Neumann note, spoiled in every way that the specification forbids, and some that we do."""
    text, line = NEUMANN_NOTE.split("\n\n")
    blob = line.split(" ")[2].strip()
    stranger = "— PeterNeumann " + base64.b64encode(b"\0\0\0\0" + b"s" * 64).decode() + "\n"
    nobody = "— EnochRoot " + base64.b64encode(b"\xaf\x0c\xfe\x78" + b"s" * 64).decode() + "\n"
    raw = base64.b64decode(blob)
    forged = base64.b64encode(raw[:-1] + bytes([raw[-1] ^ 1])).decode()
    return [
        {"case": "as published", "note": NEUMANN_NOTE, "expect": "ok"},
        {"case": "with lines of unknown keys", "note": NEUMANN_NOTE + stranger + nobody, "expect": "ok"},
        {"case": "twice the same line", "note": NEUMANN_NOTE + line, "expect": "ok"},
        {"case": "text changed", "note": NEUMANN_NOTE.replace("answer", "Answer"), "expect": "BadSignature"},
        {"case": "signature changed", "note": NEUMANN_NOTE.replace(blob, forged), "expect": "BadSignature"},
        {
            "case": "one good line, one forged",
            "note": NEUMANN_NOTE + line.replace(blob, forged),
            "expect": "BadSignature",
        },
        {"case": "only unknown keys", "note": text + "\n\n" + nobody, "expect": "BadSignature"},
        {
            "case": "same name, other id",
            "note": text + "\n\n" + stranger,
            "expect": "BadSignature",
        },
        {"case": "no signature", "note": text + "\n\n", "expect": "Malformed"},
        {"case": "no blank line", "note": text + "\n" + line, "expect": "Malformed"},
        {"case": "no final newline", "note": NEUMANN_NOTE[:-1], "expect": "Malformed"},
        {"case": "rubbish line", "note": NEUMANN_NOTE + "rubbish\n", "expect": "Malformed"},
        {"case": "hyphen for the dash", "note": NEUMANN_NOTE.replace("—", "-"), "expect": "Malformed"},
        {
            "case": "two spaces",
            "note": NEUMANN_NOTE.replace("Neumann x", "Neumann  x"),
            "expect": "Malformed",
        },
        {"case": "carriage return", "note": NEUMANN_NOTE.replace("\n", "\r\n"), "expect": "Malformed"},
        {"case": "control character", "note": "\t" + NEUMANN_NOTE, "expect": "Malformed"},
        {"case": "plus in the name", "note": NEUMANN_NOTE.replace("Peter", "Peter+"), "expect": "Malformed"},
        {
            "case": "wide space in the name",
            "note": NEUMANN_NOTE.replace("Peter", "Pe\u2003ter"),
            "expect": "Malformed",
        },
        {"case": "unpadded base64", "note": NEUMANN_NOTE.replace("=\n", "\n"), "expect": "Malformed"},
        {"case": "stray bits in base64", "note": NEUMANN_NOTE.replace("M=\n", "N=\n"), "expect": "Malformed"},
        {"case": "not base64", "note": NEUMANN_NOTE.replace("x08go/", "x08go_"), "expect": "Malformed"},
        {"case": "short signature", "note": text + "\n\n— PeterNeumann x08gow==\n", "expect": "Malformed"},
        {"case": "seventeen lines", "note": text + "\n\n" + line * 17, "expect": "Malformed"},
        {"case": "empty", "note": "", "expect": "Malformed"},
    ]


def note_vectors() -> dict:
    seed = sha256(b"ownerd ledger vectors")
    key = Ed25519PrivateKey.from_private_bytes(seed)
    name = "ownerd/0123456789abcdef0123456789abcdef"
    public = b"\1" + key.public_key().public_bytes_raw()
    key_id = sha256(name.encode() + b"\n" + public)[:4]
    text = f"{name}\n2\n{base64.b64encode(bytes.fromhex(CT_ROOTS[1])).decode()}\n"
    signature = base64.b64encode(key_id + key.sign(text.encode())).decode()
    return {
        "provenance": "Neumann: golang.org/x/mod/sumdb/note; sumdb: a public checkpoint of sum.golang.org; "
        "ours: built here byte by byte from c2sp.org/signed-note and c2sp.org/tlog-checkpoint",
        "generator": "tests/vectors/ledger/generate.py",
        "keys": {"neumann": NEUMANN, "sumdb": SUMDB},
        "notes": spoiled_notes(),
        "sumdb": {
            "note": SUMDB_NOTE,
            "origin": "go.sum database tree",
            "size": 63096908,
            "root": "f251eb40f4587b8293e1643dfd093cfed68a9c3e884476c581f37bbd0136639e",
            "expect": "ok",
        },
        "ours": {
            "seed": seed.hex(),
            "name": name,
            "verifier_key": f"{name}+{key_id.hex()}+{base64.b64encode(public).decode()}",
            "size": 2,
            "root": CT_ROOTS[1],
            "note": f"{text}\n— {name} {signature}\n",
            "expect": "ok",
        },
    }


def spoiled_keys() -> list[dict]:
    name, key_id, data = NEUMANN.split("+", 2)
    cases = [
        ("as published", NEUMANN, "ok"),
        ("plus inside the base64", SUMDB, "ok"),
        ("other id", f"{name}+c74f20a4+{data}", "Malformed"),
        ("upper-case id", f"{name}+C74F20A3+{data}", "Malformed"),
        ("no name", f"+{key_id}+{data}", "Malformed"),
        ("space in the name", f"Peter Neumann+{key_id}+{data}", "Malformed"),
        ("no key", f"{name}+{key_id}", "Malformed"),
        ("short key", f"{name}+{key_id}+{data[:-4]}", "Malformed"),
        ("another algorithm", f"{name}+{key_id}+Ahpc{data[4:]}", "Malformed"),
        ("no base64", f"{name}+{key_id}+{data[:-1]}!", "Malformed"),
    ]
    return [{"case": case, "key": key, "expect": expect} for case, key, expect in cases]


def leaf_vectors() -> dict:
    """A core, its challenge, a commitment and a whole leaf, encoded here by json.dumps with sorted keys."""

    def canonical(value: object) -> bytes:
        # Equal to RFC 8785 for ASCII member names and no fractions.
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    salt, value = bytes(range(16)), {"name": "email", "value": "zoë@example.org", "version": 3}
    committed = {"label": "claim/0", "salt": b64u(salt), "value": value}
    digest = sha256(b"ownerd/commitment/v1\0" + canonical(committed))
    core = {
        "log": "0123456789abcdef0123456789abcdef",
        "time": "2026-11-23T14:00:00.123Z",
        "kind": "disclosure",
        "nonce": b64u(bytes(range(16, 32))),
        "size": 2,
        "root": b64u(bytes.fromhex(CT_ROOTS[1])),
        "commitments": {"claim/0": b64u(digest)},
        "facts": {},
    }
    leaf = {
        "v": 1,
        "core": core,
        "approval": {
            "type": "fido2",
            "token": "1",
            "credential": b64u(b"credential"),
            "client_data": b64u(b"client data"),
            "auth_data": b64u(b"authenticator data"),
            "signature": b64u(b"signature"),
        },
        "outcome": {"response": b64u(sha256(b"response"))},
        "vault": {"generation": 1, "digest": b64u(sha256(b"vault"))},
        "opening": b64u(sha256(b"ciphertext")),
    }
    return {
        "provenance": "built here from docs/LEDGER.md with json, hashlib and base64 alone",
        "generator": "tests/vectors/ledger/generate.py",
        "commitment": {"label": "claim/0", "salt": b64u(salt), "value": value, "digest": digest.hex()},
        "core": canonical(core).decode(),
        "challenge": sha256(b"ownerd/disclosure/v1\0" + canonical(core)).hex(),
        "leaf": canonical(leaf).decode(),
        "leaf_hash": sha256(b"\0" + canonical(leaf)).hex(),
        "expect": "ok",
    }


def b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def ec_vector(curve: ec.EllipticCurve, algorithm: str, digest: hashes.HashAlgorithm, message: bytes) -> dict:
    """A key from a seed and its signature, r ‖ s, the nonce by RFC 6979 so that it is always the same."""
    key = ec.derive_private_key(int.from_bytes(sha256(b"ownerd card vectors"), "big") >> 8, curve)
    public, size = key.public_key().public_numbers(), curve.key_size // 8
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(digest, deterministic_signing=True)))
    jwk = {
        "kty": "EC",
        "crv": f"P-{curve.key_size}",
        "x": b64u(public.x.to_bytes(size, "big")),
        "y": b64u(public.y.to_bytes(size, "big")),
    }
    signature = b64u(r.to_bytes(size, "big") + s.to_bytes(size, "big"))
    return {"public_key": jwk, "algorithm": algorithm, "signature": signature}


def rsa_vector(message: bytes) -> dict:
    n, d = (
        int.from_bytes(base64.urlsafe_b64decode(one + "=" * (-len(one) % 4)), "big") for one in (RSA_N, RSA_D)
    )
    p, q = rsa.rsa_recover_prime_factors(n, 65537, d)
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(65537, n)
    )
    signature = numbers.private_key().sign(message, padding.PKCS1v15(), hashes.SHA256())
    jwk = {"kty": "RSA", "n": RSA_N, "e": "AQAB"}
    return {"public_key": jwk, "algorithm": "RS256", "signature": b64u(signature)}


def approval_vectors() -> dict:
    """One challenge, approved by a card of each algorithm and by a recovery code."""
    challenge = sha256(b"ownerd approval vectors")
    message = b"ownerd/card/v1\0" + challenge
    code = Ed25519PrivateKey.from_private_bytes(sha256(b"ownerd recovery vectors"))
    recovery = b"ownerd/recovery/v1\0" + challenge
    return {
        "provenance": "built here from docs/LEDGER.md with cryptography; nonces by RFC 6979",
        "generator": "tests/vectors/ledger/generate.py",
        "challenge": challenge.hex(),
        "card_message": message.hex(),
        "cards": [
            ec_vector(ec.SECP256R1(), "ES256", hashes.SHA256(), message),
            ec_vector(ec.SECP384R1(), "ES384", hashes.SHA384(), message),
            rsa_vector(message),
        ],
        "recovery_message": recovery.hex(),
        "recovery": {
            "public_key": b64u(code.public_key().public_bytes_raw()),
            "signature": b64u(code.sign(recovery)),
        },
        "expect": "ok",
    }


def build() -> dict[str, str]:
    """File name → contents."""
    notes = note_vectors()
    notes["verifier_keys"] = spoiled_keys()
    files = {
        "tree.json": tree_vectors(),
        "note.json": notes,
        "leaf.json": leaf_vectors(),
        "approval.json": approval_vectors(),
    }
    return {name: json.dumps(value, indent=1, ensure_ascii=True) + "\n" for name, value in files.items()}


def main() -> None:
    for name, text in build().items():
        (HERE / name).write_text(text)
        sys.stderr.write(f"wrote {name}\n")


if __name__ == "__main__":
    main()
