"""Which addresses a link may lead to, and which hosts the owner agreed to."""

from __future__ import annotations

import ipaddress

import pytest

from ownerctl.errors import UsageTrouble
from ownerctl.open_hosts import Hosts, is_punycode
from ownerctl.web import Address, Web, WebTrouble, is_public, parse_place
from ownerd.model.errors import Dismissed, InvalidArgument

# fmt: off
PRIVATE = [
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
    "192.0.2.1", "192.168.1.1", "198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1",
    "255.255.255.255",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:10.1.2.3", "64:ff9b::7f00:1", "64:ff9b::a00:1",
    "2002:7f00:1::", "2002:a00:1::", "2001:0:5ef5:79fd::1", "2001:db8::1", "fc00::1", "fd12::1",
    "fe80::1", "fec0::1", "ff02::1",
]
# fmt: on
PUBLIC = ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]


@pytest.mark.parametrize("text", PRIVATE)
def test_an_address_that_is_not_of_the_open_internet(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_an_address_of_the_open_internet(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


def _web(*texts: str, allows_private: bool = False) -> Web:
    def resolver(_host: str, _port: int) -> list[Address]:
        return [ipaddress.ip_address(text) for text in texts]

    return Web(allows_private=allows_private, resolver=resolver)


PLACE = parse_place("https://shop.example/a", "uri")


@pytest.mark.parametrize("texts", [("10.0.0.1",), ("1.1.1.1", "127.0.0.1"), ("1.1.1.1", "fe80::1")])
def test_one_private_address_among_public_ones_refuses_the_name(texts: tuple[str, ...]) -> None:
    with pytest.raises(WebTrouble, match="private network"):
        _web(*texts).get(PLACE, accept="*/*")


@pytest.mark.parametrize("text", ["0.0.0.0", "::", "224.0.0.1", "ff02::1"])
def test_what_is_no_place_at_all_is_refused_even_where_private_is_allowed(text: str) -> None:
    with pytest.raises(WebTrouble, match="nobody can connect to"):
        _web(text, allows_private=True).get(PLACE, accept="*/*")


def test_a_name_without_address_is_refused() -> None:
    with pytest.raises(WebTrouble, match="has no address"):
        _web().get(PLACE, accept="*/*")


@pytest.mark.parametrize(
    ("uri", "shown", "target"),
    [
        ("https://shop.example", "shop.example", "/"),
        ("https://Shop.example:443/a?b=c", "shop.example", "/a?b=c"),
        ("https://shop.example:8443/a", "shop.example:8443", "/a"),
    ],
)
def test_a_place_of_an_uri(uri: str, shown: str, target: str) -> None:
    place = parse_place(uri, "uri")
    assert (place.shown, place.target) == (shown, target)


@pytest.mark.parametrize(
    "uri",
    [
        "http://shop.example/",
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://[::1]/",
        "https://localhost/",
        "https://a@shop.example/",
        "https://shop.example:0/",
        "https://shop.example:99999/",
        "https://shop.example\\@x.example/",
        "https://shop.example/\r\nX: y",
        "https://sh\u00f6p.example/",
        "https://shop.example/#a",
    ],
)
def test_an_uri_that_is_no_https_name_is_refused(uri: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_place(uri, "uri")


def test_punycode_is_flagged(capsys: pytest.CaptureFixture[str]) -> None:
    assert is_punycode("www.xn--pypal-4ve.example")
    assert not is_punycode("xnn--a.shop.example")
    place = parse_place("https://www.xn--pypal-4ve.example/", "uri")
    Hosts((), agrees=True, asks=False).require(place, "the answer goes to")
    shown = capsys.readouterr().err
    assert "the answer goes to: www.xn--pypal-4ve.example\n" in shown
    assert "beware: parts that begin with xn--" in shown


def test_each_host_and_port_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def agree(question: str, *, default: bool) -> bool:
        assert not default
        asked.append(question)
        return "8443" not in question

    monkeypatch.setattr("ownerctl.questions.agree", agree)
    hosts = Hosts((), agrees=False, asks=True)
    hosts.require(PLACE, "a")
    hosts.require(parse_place("https://shop.example/b", "uri"), "b")
    with pytest.raises(Dismissed):
        hosts.require(parse_place("https://shop.example:8443/b", "uri"), "c")
    assert asked == ["contact shop.example?", "contact shop.example:8443?"]


def test_a_named_host_is_agreed_to_and_no_other() -> None:
    hosts = Hosts(("Shop.example",), agrees=False, asks=False)
    hosts.require(PLACE, "a")
    for uri in ("https://shop.example:8443/", "https://www.shop.example/", "https://shop.example.net/"):
        with pytest.raises(UsageTrouble, match="nobody is there to agree"):
            hosts.require(parse_place(uri, "uri"), "a")
