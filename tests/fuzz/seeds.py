"""Good examples to begin with, one set a target: ``python -m tests.fuzz.seeds`` writes those that no corpus has yet."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fido2 import cbor
from tests.fuzz import party
from tests.fuzz.chunks import format_answers
from tests.fuzz.target import CORPUS
from tests.rigs._piv_applet import certificate
from tests.rigs.ledgers import LedgerMaker, TestToken, bad_day_ledger, small_ledger

from ownerctl.vcard import format_vcard
from ownerd.core.backup_file import format_header, make_header
from ownerd.core.keyslot import make_keyslot, new_handles
from ownerd.credential.did import did_jwk
from ownerd.credential.jwe import ALG, seal_jwe
from ownerd.ledger.cosignature import cosign, format_witness_key, witness_key
from ownerd.ledger.entry import origin
from ownerd.ledger.merkle import consistency_proof, inclusion_proof, leaf_hash
from ownerd.ledger.note import parse_checkpoint, parse_note
from ownerd.ledger.opening import OpeningValue, format_opening
from ownerd.ledger.proof import format_proof, make_proof
from ownerd.ledger.witness import WitnessRequest, format_request
from ownerd.model.encoding import format_b64u
from ownerd.model.names import Kind
from ownerd.model.secret import Secret
from ownerd.model.token import TokenCredential

ROOT: Final = Path(__file__).resolve().parents[2]
TERMS: Final = {
    "type": "urn:ownerd:terms:1",
    "credential_ids": ["owner"],
    "purpose": ["dpv:DeliveryOfGoods"],
    "retention": "P90D",
    "recipients": ["Parcel Ltd"],
    "agreement": "https://roster.example/1",
    "transaction_data_hashes_alg": ["sha-256"],
}
DID: Final = "did:web:shop.example"
METHOD: Final = {"id": DID + "#k", "type": "JsonWebKey2020", "controller": DID, "publicKeyJwk": party.jwk(2)}
DOCUMENT: Final = {"id": DID, "verificationMethod": [METHOD], "authentication": [DID + "#k"]}
CARD: Final = {
    "name": "Zo\u00eb Example", "given_name": "Zo\u00eb", "family_name": "Example", "nickname": "z;o,e", "birthdate": "1990-02-28",
    "gender": "female", "email": "zoe@example.org", "phone_number": "+4930123", "locale": "de-DE", "zoneinfo": "Europe/Berlin",
    "website": "https://example.org/", "address.street_address": "Street 1\nback", "address.locality": "Town",
    "address.formatted": 'A "b"^c', "address.country": "Land", "preferred_username": "zoe",
}  # fmt: skip


def _json(*values: Any) -> list[bytes]:
    return [json.dumps(value, ensure_ascii=False).encode() for value in values]


def _login() -> dict[str, Any]:
    made = party.parameters(response_type="id_token", scope="openid")
    del made["dcql_query"]
    return made


def _dcql() -> list[Any]:
    plain = party.parameters()["dcql_query"]
    one = plain["credentials"][0]
    claims = [
        {"id": "a", "path": ["address", "locality"], "values": ["X"]},
        {"id": "b", "path": ["age_over_18"], "values": [True]},
    ]
    rich = {
        **one,
        "multiple": True,
        "require_cryptographic_holder_binding": False,
        "claims": claims,
        "claim_sets": [["a", "b"], ["b"]],
    }
    foreign = {
        "id": "pid",
        "format": "mso_mdoc",
        "meta": {"doctype_value": "x"},
        "claims": [{"path": ["ns", "n"]}],
    }
    issued = {**one, "id": "c", "trusted_authorities": [{"type": "aki", "values": ["AAAA"]}]}
    sets = [{"options": [["pid"], ["owner", "c"]], "required": True}, {"options": [["c"]], "required": False}]
    return [plain, {"credentials": [rich]}, {"credentials": [one, foreign, issued], "credential_sets": sets}]


def _request() -> list[bytes]:
    good = party.parameters(
        client_id=f"x509_san_dns:{party.HOST}", aud="https://self-issued.me/v2", iat=party.NOW
    )
    header = {"alg": "ES256", "typ": "oauth-authz-req+jwt", "x5c": party.x5c()}
    signed = party.sign(*_json(header, good), 2)
    terms = [format_b64u(one) for one in _json(TERMS)]
    return [
        *_json(party.parameters(), _login(), party.parameters(transaction_data=terms, purpose="ship it")),
        signed.encode(),
        *_json({"client_id": good["client_id"], "request": signed}),
    ]


def _signed_request() -> list[bytes]:
    def payload(client_id: str) -> dict[str, Any]:
        return party.parameters(
            client_id=client_id, aud="https://self-issued.me/v2", iat=party.NOW, exp=party.NOW + 60
        )

    mark = format_b64u(hashlib.sha256(party.leaf()).digest())
    return _json(
        {"h": {"x5c": "own"}, "p": payload(f"x509_san_dns:{party.HOST}")},
        {"h": {"x5c": "own"}, "p": payload(f"x509_hash:{mark}")},
        {
            "h": {"kid": did_jwk(party.jwk(2)) + "#0"},
            "p": payload(f"decentralized_identifier:{did_jwk(party.jwk(2))}"),
        },
        {"h": {"kid": DID + "#k"}, "p": payload(f"decentralized_identifier:{DID}"), "d": DOCUMENT},
        {"a": _attestation(), "p": payload(f"verifier_attestation:{party.HOST}")},
        {"h": {"x5c": "own"}, "p": {**_login(), "client_id": f"x509_san_dns:{party.HOST}"}},
    )


def _attestation(**more: Any) -> dict[str, Any]:
    known = {
        "iss": party.ATTESTER,
        "sub": party.HOST,
        "iat": party.NOW,
        "exp": party.NOW + 60,
        "cnf": {"jwk": party.jwk(2)},
    }
    return {**known, "redirect_uris": [party.RESPONSE_URI], **more}


def _ledgers() -> Iterable[LedgerMaker]:
    return small_ledger(), bad_day_ledger()


def _leaves() -> list[bytes]:
    """One of each kind and shape."""
    found: dict[tuple[str, str], bytes] = {}
    for maker in _ledgers():
        for _, leaf in maker.tables.entries:
            kind, approval = json.loads(leaf)["core"]["kind"], json.loads(leaf)["approval"]
            found.setdefault((kind, str((approval or {}).get("type"))), leaf)
    vector = json.loads((ROOT / "tests/vectors/ledger/leaf.json").read_text())["leaf"]
    return [*found.values(), vector.encode()]


def _notes() -> list[bytes]:
    vectors = json.loads((ROOT / "tests/vectors/ledger/note.json").read_text())
    keys = list(vectors["keys"].values())
    made = [f"{keys[0]}\n{one['note']}".encode() for one in vectors["notes"]]
    maker, key = small_ledger(), Ed25519PrivateKey.from_private_bytes(bytes(32))
    cosigned = cosign(maker.head(), "witness.example", key, party.NOW)
    line = format_witness_key(witness_key("witness.example", key.public_key())).encode() + b"\n"
    hashes = [leaf_hash(leaf) for _, leaf in maker.tables.entries]
    carried = format_request(WitnessRequest(2, tuple(consistency_proof(hashes, 2)), maker.head()))
    return [*made, maker.verifier_key.encode() + b"\n" + maker.head(), line + cosigned, line + carried]


def _proofs() -> list[bytes]:
    maker, token = LedgerMaker("proof"), TestToken()
    maker.set_up(token)
    values = {"provider": "shop.example", "claim/0": ["name", 1.5]}
    seq = maker.append(Kind.DISCLOSURE, values, token=token, outcome={"response": "eyJ"})
    hashes = [leaf_hash(leaf) for _, leaf in maker.tables.entries]
    leaf = maker.tables.entries[seq][1]
    return [format_proof(make_proof(leaf, seq, inclusion_proof(hashes, seq), maker.head(), {}))]


def _openings() -> list[bytes]:
    values = {"claim/0": ["n", None, True, 1.5, -7], "provider": {"\u00e9": "x", "a": {}}}
    return [format_opening({name: OpeningValue(bytes(16), value) for name, value in values.items()})]


def _jwe() -> list[bytes]:
    return [
        seal_jwe(b'{"v":1}', party.jwk(4, kid="a")).encode(),
        seal_jwe(b"", party.jwk(4), enc="A128GCM").encode(),
        b"plain",
    ]


def _jwe_header() -> list[bytes]:
    return _json(*({"alg": ALG, "enc": enc, "epk": party.jwk(2)} for enc in ("A128GCM", "A256GCM")))


def _policies() -> list[bytes]:
    text = (ROOT / "docs/POLICY.md").read_text()
    return [one.encode() for one in re.findall(r"```toml\n(.*?)```", text, re.DOTALL)]


def _receipts() -> list[bytes]:
    header = {"alg": "ES256", "typ": "ownerd-receipt+jwt"}
    payload = {"iat": 1, "owner_terms": "A" * 43}
    return [
        *_json(
            {"h": {**header, "x5c": "own"}, "p": payload},
            {"h": {**header, "jwk": party.jwk(2)}, "p": payload},
        ),
        b"thank you",
    ]


def _dids() -> list[bytes]:
    did = did_jwk(party.jwk(2))
    return _json({"did": DID, "kid": DID + "#k", "document": DOCUMENT}, {"did": did, "kid": did + "#0", "document": None},
                 {"did": DID + ":a:b", "kid": "x", "document": {}})  # fmt: skip


def _attestations() -> list[bytes]:
    header = {"alg": "ES256", "typ": "verifier-attestation+jwt"}
    return _json({"h": header, "p": _attestation()}, {"h": header, "p": _attestation(sub="Books Ltd", aud=["https://self-issued.me/v2"]),
                 "s": "Books Ltd"}, {"issuer": party.ATTESTER, "keys": [party.jwk(3), party.jwk(2, use="sig")]})  # fmt: skip


def _certificates() -> list[bytes]:
    der = [base64.b64decode(one) for one in party.x5c()]
    return [format_answers(der), format_answers([certificate(party.key(2))])]


def _vcards() -> list[bytes]:
    old = "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Example;Zoe;;;\r\nFN:Zoe Example\r\nitem1.EMAIL;TYPE=pref:z@example.org\r\nTEL;HOME:1\r\n"
    return [
        format_vcard(CARD).encode(),
        f"{old}ADR;TYPE=home:;;Street 1;Town;;1;Land\r\nBDAY:1990-02-28\r\nEND:VCARD\r\n".encode(),
    ]


def _links() -> list[bytes]:
    link = "openid4vp://?client_id=x509_san_dns%3Ashop.example&"
    return [f"{link}{rest}".encode() for rest in (
        "request_uri=https%3A%2F%2Fshop.example%2Fr&request_uri_method=post", "request=eyJ.eyJ.AA",
        "response_type=vp_token&nonce=n&dcql_query=%7B%22credentials%22%3A%5B%5D%7D")]  # fmt: skip


def _backups() -> list[bytes]:
    count = itertools.count(1)

    def rng(size: int) -> bytes:
        return hashlib.shake_256(str(next(count)).encode()).digest(size)

    maker, token = small_ledger(), TestToken()
    credential = token.enrolled
    made = TokenCredential(
        type="fido2", id=credential.id, credential_id=credential.credential_id, public_key=dict(credential.public_key),
        user_verification=False, aaguid="00000000-0000-0000-0000-000000000000", firmware=1, software=False, name="token",
    )  # fmt: skip
    secrets = (Secret(bytes(32)), Secret(bytes([1]) * 32))
    slot = make_keyslot(made, new_handles(made, rng), secrets, Secret(bytes([2]) * 32), 1, rng, since=1)
    assert parse_checkpoint(parse_note(maker.head()).text).origin == origin(maker.log)
    return [
        format_header(
            make_header("2026-11-23T14:00:00.123Z", maker.head(), 4096, Secret(bytes([3]) * 32), [slot], None)
        )
    ]


def _encodings() -> list[bytes]:
    return [b'{"a":[1,-0.5,1e21,true,null],"\xc3\xa9":{"":""}}', b"AAECAwQ", b'"\\ud83d\\ude00"', b"1e-7"]


def _tlv() -> list[bytes]:
    return [
        bytes.fromhex(one) for one in ("5303010203", "70810102710100fe00", "7f494386410400", "5f2f024020", "")
    ]


def _acts(count: int) -> list[bytes]:
    """Each act with an honest token, and with one that changes the first, second or third answer a little."""
    changed = [b"\0\0" * before + b"\0\4\xee\0\5\xff" for before in range(3)]
    errors = [b"\0\0" + format_answers([one]) for one in (b"\x69\x82", b"\x7f", b"\x2e")]
    return [
        bytes([act | pin]) + rest
        for act in range(count)
        for pin in (0, 0x80)
        for rest in (b"", *changed, *errors)
    ]


def _packets() -> list[bytes]:
    everybody, channel = b"\xff" * 4, b"\0\0\0\1"
    opened = everybody + b"\x86\0\x11" + bytes(8) + channel + b"\2\1\0\0\4"
    info = b"\0" + cbor.encode({1: ["FIDO_2_0"], 3: bytes(16), 4: {"rk": True}})
    answer = channel + b"\x90" + len(info).to_bytes(2, "big") + info
    waiting, busy = channel + b"\xbb\0\1\1", channel + b"\xbf\0\1\6"
    ping = channel + b"\x81\0\0"
    return [
        format_answers(one)
        for one in ([opened, ping, answer], [opened, ping, waiting, answer], [opened, busy])
    ]


def _presentations() -> list[bytes]:
    header, binding = {"alg": "ES256", "typ": "dc+sd-jwt"}, {"alg": "ES256", "typ": "kb+jwt"}
    issuer = {
        "iss": "own",
        "sub": "x",
        "vct": "urn:ownerd:owner:1",
        "exp": party.NOW + 60,
        "_sd_alg": "sha-256",
        "cnf": "own",
        "_sd": "own",
    }
    kb = {"nonce": "n", "aud": "a", "iat": party.NOW, "sd_hash": "own"}
    found = [["s", "email", "z@example.org"], ["t", "address", {"locality": "Town"}]]
    return _json(
        {"h": header, "i": issuer, "d": found, "kh": binding, "k": kb},
        {"h": header, "i": issuer, "d": [], "kh": binding, "k": kb},
    )


def _wal() -> list[bytes]:
    """A real log of one small transaction, and one that was cut."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute("pragma page_size=512")
            database.execute("pragma journal_mode=wal")
            database.execute("create table a (b)")
            data = path.with_name("a.db-wal").read_bytes()
    return [data, data[:-300]]


def _softtoken() -> list[bytes]:
    make = b"\1" + cbor.encode({1: bytes(32), 2: {"id": "a", "name": "a"}, 3: {"id": b"1", "name": "n"}, 4: [{"alg": -7, "type": "public-key"}],
                                6: {"hmac-secret": True}})  # fmt: skip
    ask = b"\2" + cbor.encode({1: "a", 2: bytes(32), 5: {"up": False}})
    pin = [b"\6" + cbor.encode({1: 2, 2: number}) for number in (1, 2)]
    return [
        format_answers(one)
        for one in (
            [b"\4"],
            [make, ask, b"\x08"],
            pin,
            [b"\x0c" + cbor.encode({1: 17, 3: 0})],
            [b"\7", b"\x0b"],
        )
    ]


SEEDS: Final[dict[str, Callable[[], Iterable[bytes]]]] = {
    "attestation": _attestations, "backup": _backups, "certificates": _certificates, "ctap": lambda: _acts(5), "dcql": lambda: _json(*_dcql()),
    "did": _dids, "encoding": _encodings, "jwe": _jwe, "jwe_header": _jwe_header, "leaf": _leaves, "link": _links, "note": _notes,
    "opening": _openings, "packets": _packets, "piv": lambda: _acts(4), "policy": _policies, "presentation": _presentations, "proof": _proofs, "receipt": _receipts,
    "request": _request, "signed_request": _signed_request, "softtoken": _softtoken, "tlv": _tlv,
    "transaction_data": lambda: [*_json(TERMS, [format_b64u(one) for one in _json(TERMS)])], "vcard": _vcards, "wal": _wal,
}  # fmt: skip


def main() -> None:
    """Write the seeds of targets that have no corpus."""
    for name, make in SEEDS.items():
        folder = CORPUS / name
        if folder.is_dir() and any(folder.iterdir()):
            continue
        folder.mkdir(parents=True, exist_ok=True)
        for seed in make():
            (folder / hashlib.sha256(seed).hexdigest()[:12]).write_bytes(seed)


if __name__ == "__main__":
    main()
