"""What an app checks before it believes an answer: each check fails on its own."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jws
from joserfc.jwk import ECKey

from ownerctl.errors import BadPresentation
from ownerctl.received import open_response, verify_presentation
from ownerctl.request import build_request, with_own_key
from ownerd.credential.jwe import new_key, public_jwk, public_members, seal_jwe
from ownerd.credential.presentation import finish, prepare
from ownerd.credential.request_object import read_request
from ownerd.model.encoding import Json, format_b64u, parse_b64u
from ownerd.model.request import Request

NOW = 1_795_442_400
CLAIMS = {"email": "ada@example.org", "address.locality": "London", "address.country": "UK"}


def _holder(seed: int = 7) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(seed, ec.SECP256R1())


def _request() -> Request:
    asked = with_own_key(build_request(list(CLAIMS), "https://shop.example/cb"))
    return read_request(asked.text, anchors=[], now_ms=NOW * 1000)


REQUEST = _request()
AUDIENCE = "redirect_uri:https://shop.example/cb"


def _presentation() -> str:
    values = [(tuple(name.split(".")), value) for name, value in CLAIMS.items()]
    prepared = prepare(
        values,
        REQUEST,
        holder_jwk=public_members(_holder()),
        issued_at=NOW,
        rng=lambda size: bytes(range(size)),
    )
    # All salts are equal here, which the holder never does; digests still differ by value.
    return finish(prepared, _holder())


def _verify(presentation: str, **changed: Json) -> dict[str, Json]:
    given = {"nonce": REQUEST.nonce, "audience": AUDIENCE, "now_seconds": NOW + 1, **changed}
    return verify_presentation(presentation, **given).claims


def _resign(
    presentation: str, part: int, change: Callable[[dict[str, Json], dict[str, Json]], None], seed: int = 7
) -> str:
    """Sign a changed JWT anew: 0 is the issuer-signed one, -1 the key binding."""
    parts = presentation.split("~")
    header, payload = (json.loads(parse_b64u(text)) for text in parts[part].split(".")[:2])
    change(header, payload)
    parts[part] = jws.serialize_compact(header, json.dumps(payload).encode(), ECKey.import_key(_holder(seed)))
    return "~".join(parts)


def _set(name: str, value: Json) -> Callable[[dict[str, Json], dict[str, Json]], None]:
    return lambda _header, payload: payload.update({name: value})


def _typ(value: str) -> Callable[[dict[str, Json], dict[str, Json]], None]:
    return lambda header, _payload: header.update(typ=value)


def test_a_true_answer_gives_the_claims_by_name() -> None:
    assert _verify(_presentation()) == dict(sorted(CLAIMS.items()))


def test_fewer_disclosures_are_fewer_claims_but_need_their_own_binding() -> None:
    parts = _presentation().split("~")
    with pytest.raises(BadPresentation, match="does not cover"):
        _verify("~".join([parts[0], *parts[2:]]))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"nonce": "another-nonce-of-ours"}, "another nonce"),
        ({"audience": "redirect_uri:https://other.example/"}, "another audience"),
        ({"now_seconds": NOW + 25 * 3600}, "expired"),
    ],
)
def test_an_answer_to_something_else_is_refused(changed: dict[str, Json], sentence: str) -> None:
    with pytest.raises(BadPresentation, match=sentence):
        _verify(_presentation(), **changed)


@pytest.mark.parametrize(
    ("part", "change", "seed"),
    [
        (0, lambda _h, _p: None, 8),
        (-1, lambda _h, _p: None, 8),
        (0, _typ("kb+jwt"), 7),
        (-1, _typ("dc+sd-jwt"), 7),
        (0, _set("cnf", {"jwk": public_members(_holder(8))}), 7),
        (0, _set("_sd_alg", "md5"), 7),
        (0, _set("_sd", []), 7),
        (0, _set("email", "eve@example.org"), 7),
        (-1, _set("sd_hash", "AAAA"), 7),
        (0, _set("vct", "urn:other"), 7),
    ],
    ids=[
        "issuer key",
        "binding key",
        "issuer typ",
        "binding typ",
        "cnf",
        "sd_alg",
        "sd",
        "name taken",
        "hash",
        "vct",
    ],
)
def test_each_part_is_checked(
    part: int, change: Callable[[dict[str, Json], dict[str, Json]], None], seed: int
) -> None:
    with pytest.raises(BadPresentation):
        _verify(_resign(_presentation(), part, change, seed))


@pytest.mark.parametrize(
    "disclosure", [["salt", "iss", "x"], ["salt", "email"], "no list", ["salt", 7, "x"]], ids=str
)
def test_foreign_disclosures_are_refused(disclosure: Json) -> None:
    parts = _presentation().split("~")
    text = format_b64u(json.dumps(disclosure).encode())
    with pytest.raises(BadPresentation):
        _verify("~".join([*parts[:-1], text, parts[-1]]))


@pytest.mark.parametrize("text", ["", "~", "a.b.c~", "a.b.c~d~e.f.g", "é.b.c~d.e.f"])
def test_malformed_presentations_are_refused(text: str) -> None:
    with pytest.raises(BadPresentation):
        _verify(text)


def test_the_response_must_be_ours_and_of_one_presentation() -> None:
    key = new_key()
    sealed = lambda value: seal_jwe(json.dumps(value).encode(), public_jwk(key))  # noqa: E731 -- a word for the cases
    assert open_response(sealed({"vp_token": {"owner": ["p"]}, "state": "s"}), key, state="s") == "p"
    for wrong in (
        {},
        {"vp_token": {}},
        {"vp_token": {"a": []}},
        {"vp_token": {"a": [1]}},
        {"vp_token": {"a": ["p"], "b": ["p"]}},
    ):
        with pytest.raises(BadPresentation):
            open_response(sealed(wrong), key, state=None)
    for state in ("s", None):
        with pytest.raises(BadPresentation, match="another state"):
            open_response(sealed({"vp_token": {"a": ["p"]}, "state": "t"}), key, state=state)
    with pytest.raises(BadPresentation, match="does not open"):
        open_response(sealed({"vp_token": {"a": ["p"]}}), new_key(), state=None)
