"""A link that a browser hands over."""

from __future__ import annotations

from tests.fuzz.target import Target

from ownerctl.openid_uri import parse_link


def run(data: bytes) -> None:
    parse_link(data.decode("utf-8", "surrogateescape"))


TARGET = Target(
    "link",
    run,
    form="text",
    words=(
        "openid4vp://", "haip-vp://", "eudi-openid4vp:", "?", "&", "client_id=", "request_uri=", "request=", "request_uri_method=post",
        "dcql_query=", "client_metadata=", "%7B", "%22", "%00", "%", "+", "#", "transaction_data=", "response_uri=",
    ),
)  # fmt: skip
