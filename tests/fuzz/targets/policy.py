"""The owner's policy text. Who writes it is the owner, or what an editor or a merge made of it."""

from __future__ import annotations

from tests.fuzz.target import Target

from ownerd.negotiation.policy_text import parse_policy


def run(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    assert parse_policy(text).text == text


TARGET = Target(
    "policy",
    run,
    form="text",
    words=(
        "version = 1\n", "[[rule]]\n", "[[terms]]\n", "[alias]\n", "provider = ", "claims = ", "do = ", '"allow"', '"refuse"',
        '"grant"', '"substitute"', '"ask"', "with = ", '"alias"', "purpose = ", '"dpv:DeliveryOfGoods"', "retention = ", '"P90D"',
        "mailbox = ", "domain = ", "trust = ", '"verified"', "1979-05-27T07:32:00Z", "inf", "nan", "0x", "1_0", '"""', "'''", "{", "}",
    ),
)  # fmt: skip
