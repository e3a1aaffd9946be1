"""What an app checks before it believes an answer: each check fails on its own."""

from __future__ import annotations

import hashlib
import json
import re
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


Change = Callable[[dict[str, Json], dict[str, Json]], None]


def _sign(header: Json, payload: Json, seed: int) -> str:
    return jws.serialize_compact(header, json.dumps(payload).encode(), ECKey.import_key(_holder(seed)))


def _digest(text: str) -> str:
    return format_b64u(hashlib.sha256(text.encode()).digest())


def _rebuilt(
    presentation: str,
    *,
    issuer: Change | None = None,
    binding: Change | None = None,
    disclosures: Callable[[list[str]], list[str]] = lambda given: given,
    issuer_seed: int = 7,
    binding_seed: int = 7,
) -> str:
    """Change parts of a presentation and sign and bind all of it anew, so that only the change is wrong."""
    first, *middle, last = presentation.split("~")
    decoded = [[json.loads(parse_b64u(text)) for text in jwt.split(".")[:2]] for jwt in (first, last)]
    if issuer is not None:
        issuer(*decoded[0])
    covered = "".join(f"{part}~" for part in [_sign(*decoded[0], issuer_seed), *disclosures(middle)])
    decoded[1][1]["sd_hash"] = _digest(covered)
    if binding is not None:
        binding(*decoded[1])
    return covered + _sign(*decoded[1], binding_seed)


def _set(name: str, value: Json) -> Change:
    return lambda _header, payload: payload.update({name: value})


def _typ(value: str) -> Change:
    return lambda header, _payload: header.update(typ=value)


def test_a_true_answer_gives_the_claims_by_name() -> None:
    assert _verify(_presentation()) == dict(sorted(CLAIMS.items()))


def test_fewer_disclosures_are_fewer_claims_but_need_their_own_binding() -> None:
    parts = _presentation().split("~")
    with pytest.raises(BadPresentation, match="does not cover"):
        _verify("~".join([parts[0], *parts[2:]]))
    assert len(_verify(_rebuilt(_presentation(), disclosures=lambda given: given[1:]))) == 2


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


def _disclosure(value: Json) -> str:
    return format_b64u(json.dumps(value).encode())


def _with_digest(value: Json) -> dict[str, Json]:
    """A disclosure that the issuer-signed JWT does name."""
    text = _disclosure(value)
    return {
        "issuer": lambda _header, payload: payload.setdefault("_sd", []).append(_digest(text)),
        "disclosures": lambda given: [*given, text],
    }


def _repeat_digest(_header: Json, payload: dict[str, Json]) -> None:
    payload["_sd"] *= 2


WRONG: dict[str, tuple[dict[str, Json], str]] = {
    "issuer key": ({"issuer_seed": 8}, "bad_signature"),
    "binding key": ({"binding_seed": 8}, "bad_signature"),
    "issuer typ": ({"issuer": _typ("kb+jwt")}, "a JWT has another type"),
    "binding typ": ({"binding": _typ("dc+sd-jwt")}, "a JWT has another type"),
    "bound to another": (
        {"issuer": _set("cnf", {"jwk": public_members(_holder(8))}), "binding_seed": 8},
        "key binding is to another key",
    ),
    "digest algorithm": ({"issuer": _set("_sd_alg", "sha-512")}, "digests are not SHA-256"),
    "no digests": ({"issuer": _set("_sd", [])}, "a disclosure belongs to no digest"),
    "digest twice": ({"issuer": _repeat_digest}, "a digest stands twice"),
    "disclosure twice": ({"disclosures": lambda given: [*given, given[0]]}, "a disclosure stands twice"),
    "foreign disclosure": (
        {"disclosures": lambda given: [*given, _disclosure(["salt", "gender", "x"])]},
        "a disclosure belongs to no digest",
    ),
    "name taken": ({"issuer": _set("email", "eve@example.org")}, "a name that is taken"),
    "reserved name": (_with_digest(["salt", "exp", 9e9]), "a name that is taken"),
    "same name twice": (_with_digest(["salt", "email", "eve@example.org"]), "a name that is taken"),
    "name is no text": (_with_digest(["salt", 7, "x"]), "a name that is taken"),
    "disclosure of two": (_with_digest(["salt", "x"]), "not enough values"),
    "another type": ({"issuer": _set("vct", "urn:other")}, "another type"),
    "another hash": ({"binding": _set("sd_hash", "AAAA")}, "does not cover"),
    "expiry is no number": ({"issuer": _set("exp", "soon")}, "expired"),
}


@pytest.mark.parametrize("name", WRONG)
def test_each_check_stands_alone(name: str) -> None:
    changes, sentence = WRONG[name]
    with pytest.raises(BadPresentation) as caught:
        _verify(_rebuilt(_presentation(), **changes))
    assert re.search(sentence, f"{caught.value} / {caught.value.__cause__}")


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


@pytest.mark.parametrize("issuer", [7, None, [], {}, True])
def test_an_issuer_that_is_no_text_is_refused_and_not_stumbled_over(issuer: Json) -> None:
    jwt = f"{format_b64u(b'{}')}.{format_b64u(json.dumps({'iss': issuer}).encode())}.AA"
    with pytest.raises(BadPresentation):
        _verify(f"{jwt}~{jwt}")
