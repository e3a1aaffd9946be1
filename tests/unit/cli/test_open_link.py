"""openid4vp links, taken apart."""

from __future__ import annotations

import pytest

from ownerctl.open_request import claimed_parameters, did_web_uri
from ownerctl.openid_uri import MAX_LINK_CHARS, ByReference, ByValue, Plain, parse_link
from ownerd.model.errors import InvalidArgument, NotSupported

ID = "client_id=x509_san_dns%3Ashop.example"
REQUEST = f"{ID}&request_uri=https%3A%2F%2Fshop.example%2Fr%3Fa%3D1"


@pytest.mark.parametrize(
    "start",
    [
        "openid4vp://?",
        "haip-vp://?",
        "eudi-openid4vp://verifier.example?",
        "openid4vp:?",
        "OPENID4VP://authorize/?",
        "openid4vp:///x?",
    ],
)
def test_a_request_uri_of_every_scheme(start: str) -> None:
    assert parse_link(start + REQUEST) == ByReference(
        "x509_san_dns:shop.example", "https://shop.example/r?a=1", post=False
    )


@pytest.mark.parametrize(("method", "post"), [("get", False), ("post", True)])
def test_the_method_says_how_to_fetch(method: str, post: bool) -> None:
    found = parse_link(f"openid4vp://?{REQUEST}&request_uri_method={method}")
    assert isinstance(found, ByReference)
    assert found.post is post


def test_a_request_object_by_value() -> None:
    assert parse_link(f"openid4vp://?request=a.b.c&{ID}") == ByValue("x509_san_dns:shop.example", "a.b.c")


def test_plain_parameters_are_json_where_the_standard_says_so() -> None:
    found = parse_link(
        "openid4vp://?client_id=redirect_uri%3Ahttps%3A%2F%2Fshop.example%2F&nonce=%7B1%7D&state=a+b"
        "&dcql_query=%7B%22credentials%22%3A%5B%5D%7D"
    )
    assert found == Plain(
        {
            "client_id": "redirect_uri:https://shop.example/",
            "nonce": "{1}",
            "state": "a b",
            "dcql_query": {"credentials": []},
        }
    )


@pytest.mark.parametrize(
    ("link", "error", "words"),
    [
        (f"https://shop.example/?{REQUEST}", NotSupported, "scheme is none of openid4vp"),
        (f"openid4vpx://?{REQUEST}", NotSupported, "scheme"),
        (f"://?{REQUEST}", NotSupported, "scheme"),
        ("", InvalidArgument, "spaces, control"),
        ("openid4vp", NotSupported, "scheme"),
        ("openid4vp://", InvalidArgument, "no parameters"),
        ("openid4vp://?", InvalidArgument, "no parameters"),
        (f"openid4vp://?{REQUEST}#x", InvalidArgument, "fragment"),
        (f"openid4vp://?{REQUEST}\n", InvalidArgument, "control characters"),
        (f"openid4vp://?{REQUEST}\u00e9", InvalidArgument, "outside ASCII"),
        (f"openid4vp://?{REQUEST}&x=%zz", InvalidArgument, "broken percent"),
        (f"openid4vp://?{ID}&request_uri=%ff", InvalidArgument, "malformed or too many"),
        (f"openid4vp://?{REQUEST}&&", InvalidArgument, "malformed or too many"),
        (f"openid4vp://?{REQUEST}&flag", InvalidArgument, "malformed or too many"),
        (f"openid4vp://?{ID}" + "".join(f"&a{n}=1" for n in range(40)), InvalidArgument, "too many"),
        (f"openid4vp://?{REQUEST}&%1b=1", InvalidArgument, "malformed name"),
        (f"openid4vp://?{REQUEST}&{ID}", InvalidArgument, "has client_id twice"),
        (f"openid4vp://?{REQUEST}&request_uri=x", InvalidArgument, "has request_uri twice"),
        (f"openid4vp://?{REQUEST}&request=a.b.c", InvalidArgument, "has request beside request_uri"),
        (f"openid4vp://?{REQUEST}&nonce=1", InvalidArgument, "has nonce beside request_uri"),
        (f"openid4vp://?{ID}&request=a.b.c&response_uri=x", InvalidArgument, "response_uri beside request"),
        (f"openid4vp://?{REQUEST}&request_uri_method=PUT", NotSupported, "neither get nor post"),
        (f"openid4vp://?{REQUEST}&request_uri_method=POST", NotSupported, "neither get nor post"),
        (f"openid4vp://?{ID}&request_uri_method=post&request=a.b.c", InvalidArgument, "without request_uri"),
        (f"openid4vp://?{ID}&request_uri=", InvalidArgument, "empty request_uri"),
        ("openid4vp://?request_uri=x", InvalidArgument, "no client_id"),
        ("openid4vp://?client_id=&request_uri=x", InvalidArgument, "no client_id"),
        (f"openid4vp://?client_id={'a' * 3000}&request_uri=x", InvalidArgument, "too long"),
        (f"openid4vp://?{ID}&dcql_query=%7B%7D%7D", InvalidArgument, "dcql_query is not JSON"),
        (f"openid4vp://?{ID}&x={'a' * MAX_LINK_CHARS}", InvalidArgument, "longer than"),
    ],
)
def test_what_is_malformed_doubled_or_foreign_is_refused_by_name(
    link: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        parse_link(link)


@pytest.mark.parametrize(
    ("did", "uri"),
    [
        ("shop.example", "https://shop.example/.well-known/did.json"),
        ("shop.example:user:a-b", "https://shop.example/user/a-b/did.json"),
    ],
)
def test_where_the_document_of_a_did_web_is(did: str, uri: str) -> None:
    assert did_web_uri(f"decentralized_identifier:did:web:{did}") == uri


@pytest.mark.parametrize(
    "did",
    [
        "",
        ":a",
        "a.example:",
        "a.example:..",
        "a.example:b/c",
        "a.example/x",
        "a.example#1",
        "A.example",
        "a.example%3A8443",
        "a.example:%2e%2e",
    ],
)
def test_a_did_web_that_the_daemon_would_not_take_is_refused(did: str) -> None:
    with pytest.raises((InvalidArgument, NotSupported)):
        did_web_uri(f"decentralized_identifier:did:web:{did}")


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c.d", "a.!.c", "a.e30=.c", "a.W10.c", " a.e30.c"])
def test_a_request_object_is_a_compact_jws_of_an_object(text: str) -> None:
    with pytest.raises(InvalidArgument):
        claimed_parameters(text)
    assert claimed_parameters("a.e30.c") == {}
