"""Attack: input that reads differently to two parsers, or differently to the owner than to the daemon."""

from __future__ import annotations

import json

import pytest
from tests.rigs.provider import RESPONSE_URI, forge_request

from ownerd.model.errors import InvalidArgument, OwnerdError


def doubled(parameters, name, value):
    """JSON text in which ``name`` stands twice, the second time with ``value``."""
    return json.dumps(parameters)[:-1] + f", {json.dumps(name)}: {json.dumps(value)}}}"


@pytest.mark.parametrize("name", ["nonce", "response_uri", "client_metadata", "dcql_query", "client_id"])
def test_a_parameter_that_stands_twice_is_refused(provider_rig, name):
    unsigned = provider_rig.claimed()
    with pytest.raises(InvalidArgument, match="duplicate"):
        provider_rig.read(doubled(unsigned, name, unsigned[name]))
    signed = provider_rig.parameters()
    with pytest.raises(InvalidArgument, match="duplicate"):
        provider_rig.read(provider_rig.forge(doubled(signed, name, signed[name]).encode()))


def test_a_header_member_that_stands_twice_is_refused(provider_rig):
    header = {"typ": "oauth-authz-req+jwt", "x5c": provider_rig.party.x5c(), "alg": "none"}
    text = forge_request(
        doubled(header, "alg", "ES256").encode(), provider_rig.parameters(), provider_rig.party.key
    )
    with pytest.raises(InvalidArgument, match="duplicate"):
        provider_rig.read(text)


def test_a_key_member_that_stands_twice_is_refused(provider_rig):
    text = provider_rig.unsigned().replace('"kty": "EC"', '"kty": "EC", "kty": "EC"')
    assert '"kty": "EC", "kty"' in text
    with pytest.raises(InvalidArgument, match="duplicate"):
        provider_rig.read(text)


HIDING = [
    "\u202e",
    "\u2066",
    "\u200b",
    "\u200f",
    "\ufeff",
    "\u00ad",
    "\x00",
    "\x1b[2J",
    "\r",
    "\n",
    "\x9b31m",
]


@pytest.mark.parametrize("hidden", HIDING)
def test_text_that_hides_is_refused_wherever_it_would_be_shown(provider_rig, hidden):
    path = {"path": [f"em{hidden}ail"]}
    query = provider_rig.parameters()["dcql_query"]
    query["credentials"][0]["claims"] = [path]
    for changes in (
        {"purpose": f"ship{hidden}your order"},
        {"dcql_query": query},
        {"response_uri": f"{RESPONSE_URI}{hidden}", "client_id": f"redirect_uri:{RESPONSE_URI}{hidden}"},
        {"nonce": "n" * 16 + hidden},
        {"state": "s" + hidden},
    ):
        with pytest.raises(InvalidArgument):
            provider_rig.read(provider_rig.unsigned(**changes))
    with pytest.raises(OwnerdError):
        provider_rig.read(provider_rig.signed(client_id=f"x509_san_dns:shop{hidden}.example"))


def test_a_look_alike_host_stays_in_its_ascii_form(provider_rig):
    uri = "https://sh\u043ep.example/answer"
    with pytest.raises(InvalidArgument):
        provider_rig.read(provider_rig.unsigned(client_id=f"redirect_uri:{uri}", response_uri=uri))
    ascii_uri = "https://xn--shp-emd.example/answer"
    request = provider_rig.read(
        provider_rig.unsigned(client_id=f"redirect_uri:{ascii_uri}", response_uri=ascii_uri)
    )
    assert request.provider.name == "xn--shp-emd.example"


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 5_000,
        '{"client_id": "redirect_uri:https://a.example/", "x": ' + "[" * 40 + "]" * 40 + "}",
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": ' + "9" * 5_000 + "}",
        "\ufeff{}",
    ],
)
def test_json_bombs_and_oddities_end_in_an_error_of_the_table(provider_rig, text):
    with pytest.raises(OwnerdError):
        provider_rig.read(text)


def refusal(rig, text):
    """Message of the error that ``text`` ends in, or nothing."""
    try:
        rig.read(text)
    except OwnerdError as error:
        return str(error)
    return ""


def test_an_error_never_repeats_what_was_sent(provider_rig):
    canary = "canary-4711"
    for name in provider_rig.claimed():
        for value in (canary, [canary], {canary: canary}):
            assert canary not in refusal(provider_rig, provider_rig.unsigned(**{name: value}))


def test_a_parameter_of_a_strange_name_is_not_repeated_either(provider_rig):
    envelope = {"client_id": "x", "request": "a.b.c", "canary\x1b": "x"}
    with pytest.raises(InvalidArgument) as caught:
        provider_rig.read(json.dumps(envelope))
    assert "canary" not in str(caught.value)
