"""Logins: SIOPv2 requests for a subject-signed ID token, and nothing beside it."""

from __future__ import annotations

import pytest

from ownerd.model.errors import InvalidArgument, NotSupported
from ownerd.model.query import Query
from ownerd.model.request import Trust

LOGIN = {"response_type": "id_token", "scope": "openid", "dcql_query": ...}


def metadata(provider_rig, **changes):
    made = {**provider_rig.parameters()["client_metadata"], **changes}
    return {name: value for name, value in made.items() if value is not ...}


@pytest.mark.parametrize("kind", ["signed", "unsigned"])
def test_a_login_asks_for_no_data(provider_rig, kind):
    request = provider_rig.read(getattr(provider_rig, kind)(**LOGIN, purpose="log you in"))
    assert (request.login, request.query, request.terms) == (True, Query(()), ())
    assert request.purpose == "log you in"
    assert request.recipient.thumbprint == provider_rig.answer_key.thumbprint()
    assert request.provider.trust is (Trust.VERIFIED if kind == "signed" else Trust.CLAIMED)


def test_a_request_for_credentials_is_no_login(provider_rig):
    assert not provider_rig.read(provider_rig.signed()).login


@pytest.mark.parametrize(
    "changes",
    [
        {"id_token_type": "subject_signed_id_token"},
        {"id_token_type": "attester_signed_id_token subject_signed_id_token"},
    ],
)
def test_token_types_that_are_ours(provider_rig, changes):
    assert provider_rig.read(provider_rig.signed(**LOGIN, **changes)).login


@pytest.mark.parametrize(
    "changes",
    [
        {"vp_formats_supported": ...},
        {"vp_formats_supported": {"mso_mdoc": {}}},
        {"subject_syntax_types_supported": ["urn:ietf:params:oauth:jwk-thumbprint", "did:jwk"]},
        {"id_token_signed_response_alg": "ES256"},
    ],
)
def test_metadata_that_a_login_can_live_with(provider_rig, changes):
    assert provider_rig.read(
        provider_rig.signed(**LOGIN, client_metadata=metadata(provider_rig, **changes))
    ).login


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"subject_syntax_types_supported": ["urn:ietf:params:oauth:jwk-thumbprint"]}, NotSupported),
        ({"subject_syntax_types_supported": ["did:key", "did:jwk:"]}, NotSupported),
        ({"subject_syntax_types_supported": []}, InvalidArgument),
        ({"subject_syntax_types_supported": "did:jwk"}, InvalidArgument),
        ({"subject_syntax_types_supported": ["did:jwk", 7]}, InvalidArgument),
        ({"subject_syntax_types_supported": ["did:jwk"] * 33}, InvalidArgument),
        ({"id_token_signed_response_alg": "EdDSA"}, NotSupported),
        ({"id_token_signed_response_alg": "none"}, NotSupported),
        ({"id_token_signed_response_alg": ["ES256"]}, InvalidArgument),
        ({"id_token_signed_response_alg": None}, InvalidArgument),
        ({"jwks": ...}, InvalidArgument),
    ],
)
def test_metadata_that_no_answer_of_ours_would_satisfy(provider_rig, changes, error):
    with pytest.raises(error):
        provider_rig.read(provider_rig.signed(**LOGIN, client_metadata=metadata(provider_rig, **changes)))


@pytest.mark.parametrize(
    ("changes", "error", "named"),
    [
        ({"scope": ...}, InvalidArgument, "scope"),
        ({"scope": ["openid"]}, InvalidArgument, "scope"),
        ({"scope": "openid profile"}, NotSupported, "scope"),
        ({"scope": "email"}, NotSupported, "scope"),
        ({"scope": "openid openid"}, NotSupported, "scope"),
        ({"id_token_type": "attester_signed_id_token"}, NotSupported, "id_token_type"),
        ({"id_token_type": "subject_signed_id_token_not"}, NotSupported, "id_token_type"),
        ({"id_token_type": ["subject_signed_id_token"]}, InvalidArgument, "id_token_type"),
        ({"id_token_type": None}, InvalidArgument, "id_token_type"),
        ({"dcql_query": {"credentials": []}}, NotSupported, "dcql_query"),
        ({"transaction_data": []}, NotSupported, "transaction_data"),
        ({"claims": {"id_token": {"email": None}}}, NotSupported, "claims"),
        ({"id_token_hint": "eyJ"}, NotSupported, "id_token_hint"),
        ({"response_mode": "direct_post"}, NotSupported, "response_mode"),
        ({"response_mode": "post"}, NotSupported, "response_mode"),
        ({"response_type": "vp_token id_token"}, NotSupported, "only response_type"),
        ({"response_type": "id_token vp_token"}, NotSupported, "only response_type"),
        ({"response_type": "id_token token"}, NotSupported, "only response_type"),
        ({"nonce": ...}, InvalidArgument, "nonce"),
        ({"client_metadata": ...}, InvalidArgument, "client_metadata"),
        ({"client_metadata": []}, InvalidArgument, "client_metadata"),
    ],
)
def test_logins_that_ask_for_more_or_for_less_are_refused_by_name(provider_rig, changes, error, named):
    with pytest.raises(error, match=named):
        provider_rig.read(provider_rig.signed(**{**LOGIN, **changes}))


@pytest.mark.parametrize("name", ["scope", "id_token_type"])
@pytest.mark.parametrize("value", ["openid", "subject_signed_id_token", None])
def test_members_of_a_login_do_not_adorn_a_query(provider_rig, name, value):
    with pytest.raises(NotSupported, match=name):
        provider_rig.read(provider_rig.signed(**{name: value}))
