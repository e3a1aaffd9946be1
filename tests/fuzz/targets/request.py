"""A request as an app sends it, whole: signed, enveloped or unsigned; nothing here can sign what was changed."""

from __future__ import annotations

from tests.fuzz import party
from tests.fuzz.target import Target

from ownerd.credential.request_object import read_request


def run(data: bytes) -> None:
    read_request(
        data.decode("utf-8", "surrogateescape"),
        anchors=[party.anchor()],
        attesters=[party.attester()],
        now_ms=party.NOW * 1000,
    )


TARGET = Target(
    "request",
    run,
    form="json",
    words=(
        "client_id", "request", "did_document", "response_uri", "redirect_uri:", "x509_san_dns:shop.example", "aud", "iat",
        "exp", "nbf", "scope", "openid", "id_token", "vp_token", "id_token_type", "response_mode", "client_metadata", "jwks",
        "keys", "dcql_query", "transaction_data", "purpose", "state", "nonce", "origin:", "wallet_nonce", "request_uri",
        "subject_syntax_types_supported", "https://self-issued.me/v2", "encrypted_response_enc_values_supported",
    ),
)  # fmt: skip
