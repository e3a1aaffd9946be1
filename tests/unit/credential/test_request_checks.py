from __future__ import annotations

import time

import pytest
from demo import provider_kit as kit

from ownerd.credential import request_checks as checks
from ownerd.model.errors import InvalidArgument, NotAllowed, NotSupported

NOW = 1_700_000_000


@pytest.mark.parametrize("name", checks.REFUSED)
def test_parameters_of_the_standard_that_are_left_out_are_named(provider_rig, name):
    with pytest.raises(NotSupported, match=name):
        provider_rig.read(provider_rig.signed(**{name: "x"}))


@pytest.mark.parametrize("name", ["redirect_uri", "request"])
def test_parameters_that_contradict_are_malformed(provider_rig, name):
    with pytest.raises(InvalidArgument, match=name):
        provider_rig.read(provider_rig.forge(provider_rig.parameters(**{name: "https://shop.example/x"})))


def test_unknown_parameters_are_ignored_up_to_a_bound(provider_rig):
    many = {f"unknown_{number}": "\u202e" for number in range(checks.MAX_IGNORED - 1)}
    assert provider_rig.read(provider_rig.unsigned(iss="x", **many))
    with pytest.raises(InvalidArgument):
        provider_rig.read(provider_rig.unsigned(iss="x", jti="x", **many))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "vp_token id_token"}, NotSupported),
        ({"response_type": "code"}, NotSupported),
        ({"response_type": ...}, InvalidArgument),
        ({"response_mode": "direct_post"}, NotSupported),
        ({"response_mode": "dc_api.jwt"}, NotSupported),
        ({"response_mode": "fragment"}, NotSupported),
        ({"response_mode": ...}, InvalidArgument),
        ({"dcql_query": ...}, InvalidArgument),
        ({"dcql_query": "{}"}, InvalidArgument),
        ({"nonce": ...}, InvalidArgument),
        ({"nonce": "n" * 15}, InvalidArgument),
        ({"nonce": "n" * 513}, InvalidArgument),
        ({"nonce": "n" * 16 + "+"}, InvalidArgument),
        ({"nonce": "n" * 16 + "\n"}, InvalidArgument),
        ({"nonce": 10**20}, InvalidArgument),
        ({"state": ""}, InvalidArgument),
        ({"state": None}, InvalidArgument),
        ({"state": "a b"}, InvalidArgument),
        ({"state": "s" * 2049}, InvalidArgument),
        ({"purpose": "ab"}, InvalidArgument),
        ({"purpose": "x" * 301}, InvalidArgument),
        ({"purpose": "ship\u202eredro"}, InvalidArgument),
        ({"purpose": "ship\x1b[8m"}, InvalidArgument),
        ({"purpose": None}, InvalidArgument),
    ],
)
def test_parameters_out_of_their_rule_are_refused(provider_rig, changes, error):
    for text in (provider_rig.signed(**changes), provider_rig.unsigned(**changes)):
        with pytest.raises(error):
            provider_rig.read(text)


@pytest.mark.parametrize("changes", [{"nonce": "n" * 16}, {"nonce": "aA0-._~" * 70}, {"state": ...}])
def test_parameters_at_the_edge_of_their_rule_pass(provider_rig, changes):
    assert provider_rig.read(provider_rig.signed(**changes))


@pytest.mark.parametrize(
    "uri",
    [
        "http://shop.example/answer",
        "HTTPS://shop.example/answer",
        "https:shop.example",
        "https:///answer",
        "https://user@shop.example/answer",
        "https://@shop.example/answer",
        "https://other.example\\@shop.example/answer",
        "https://shop.example/\\evil.example",
        "https://shop.example/answer#x",
        "https://shop.example:0/answer",
        "https://shop.example:99999/answer",
        "https://shop.example:/answer",
        "https://[::1]/answer",
        "https://127.0.0.1/answer",
        "https://localhost/answer",
        "https://shop.example./answer",
        "https://sh\u043ep.example/answer",
        "https://shop.example/\n",
        "https://shop.example/a b",
        "https://shop.example/" + "x" * 2048,
        "",
        7,
    ],
)
def test_a_response_uri_has_one_reading(uri):
    with pytest.raises(InvalidArgument):
        checks.uri_host(uri, "response_uri")


def test_a_response_uri_may_have_port_and_query():
    assert checks.uri_host("https://Shop.Example:8443/a?b=c", "response_uri") == "shop.example"


@pytest.mark.parametrize(
    "parameters",
    [{}, {"exp": NOW - 59}, {"nbf": NOW + 60}, {"iat": NOW + 60}, {"iat": 0, "nbf": 0, "exp": NOW + 1}],
)
def test_times_hold_with_a_minute_of_leeway(parameters):
    checks.require_current(parameters, NOW * 1000)


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"exp": NOW - 60}, NotAllowed),
        ({"nbf": NOW + 61}, NotAllowed),
        ({"iat": NOW + 61}, NotAllowed),
        ({"exp": str(NOW)}, InvalidArgument),
        ({"exp": None}, InvalidArgument),
        ({"exp": True}, InvalidArgument),
        ({"iat": 1.5}, InvalidArgument),
    ],
)
def test_times_that_do_not_hold_are_refused(parameters, error):
    with pytest.raises(error):
        checks.require_current(parameters, NOW * 1000)


def test_an_expired_request_is_refused_though_its_signature_holds(provider_rig):
    with pytest.raises(NotAllowed, match="expired"):
        provider_rig.read(provider_rig.signed(exp=int(time.time()) - 61))


@pytest.mark.parametrize(
    "audience",
    [
        "https://self-issued.me/v2",
        ["https://self-issued.me/v2"],
        "https://shop.example/requests/17",
        "https://shop.example",
    ],
)
def test_audiences_that_mean_us(provider_rig, audience):
    assert provider_rig.read(provider_rig.signed(aud=audience))


@pytest.mark.parametrize(
    ("audience", "error"),
    [
        ("https://wallet.example", NotAllowed),
        ("https://self-issued.me/v2/", NotAllowed),
        (["https://self-issued.me/v2", "https://wallet.example"], InvalidArgument),
        ([], InvalidArgument),
        ("wallet", InvalidArgument),
        (None, InvalidArgument),
        (7, InvalidArgument),
    ],
)
def test_audiences_that_mean_another_wallet(provider_rig, audience, error):
    with pytest.raises(error):
        provider_rig.read(provider_rig.signed(aud=audience))


def metadata(provider_rig, **changes):
    made = provider_rig.parameters()["client_metadata"]
    return {
        "client_metadata": {name: value for name, value in {**made, **changes}.items() if value is not ...}
    }


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"vp_formats_supported": ...}, InvalidArgument),
        ({"vp_formats_supported": {}}, NotSupported),
        ({"vp_formats_supported": {"dc+sd-jwt": []}}, InvalidArgument),
        ({"vp_formats_supported": {"dc+sd-jwt": {"sd-jwt_alg_values": ["EdDSA"]}}}, NotSupported),
        ({"vp_formats_supported": {"dc+sd-jwt": {"kb-jwt_alg_values": ["ES384"]}}}, NotSupported),
        ({"vp_formats_supported": {"dc+sd-jwt": {"kb-jwt_alg_values": "ES256"}}}, InvalidArgument),
        ({"encrypted_response_enc_values_supported": []}, InvalidArgument),
        ({"encrypted_response_enc_values_supported": "A256GCM"}, InvalidArgument),
        ({"encrypted_response_enc_values_supported": ["A128CBC-HS256"]}, NotSupported),
        ({"jwks": ...}, InvalidArgument),
        ({"jwks": []}, InvalidArgument),
        ({"jwks": {"keys": []}}, InvalidArgument),
        ({"jwks": {"keys": ["x"]}}, InvalidArgument),
    ],
)
def test_client_metadata_that_yields_no_sealed_answer(provider_rig, changes, error):
    with pytest.raises(error):
        provider_rig.read(provider_rig.signed(**metadata(provider_rig, **changes)))


def test_without_metadata_there_is_no_answer(provider_rig):
    with pytest.raises(InvalidArgument):
        provider_rig.read(provider_rig.signed(client_metadata=...))


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (..., "A128GCM"),
        (["A128GCM"], "A128GCM"),
        (["A128GCM", "A128CBC-HS256", "A256GCM"], "A256GCM"),
    ],
)
def test_the_best_content_encryption_is_taken(provider_rig, offered, chosen):
    changes = metadata(provider_rig, encrypted_response_enc_values_supported=offered)
    assert provider_rig.read(provider_rig.signed(**changes)).recipient.enc == chosen


def with_keys(provider_rig, *keys):
    return provider_rig.read(provider_rig.signed(**metadata(provider_rig, jwks={"keys": list(keys)})))


def public(**changes):
    made = {**kit.new_encryption_key().export_public(as_dict=True), **changes}
    return {name: value for name, value in made.items() if value is not ...}


def test_the_first_usable_key_is_taken(provider_rig):
    others = [
        {"kty": "OKP", "crv": "X25519", "x": "A" * 43, "alg": "ECDH-ES", "kid": "1"},
        public(kid="2", use="sig"),
        public(kid="3", alg="ECDH-ES+A256KW"),
        public(kid="4", alg=...),
    ]
    ours = public(kid="5", use=...)
    request = with_keys(provider_rig, *others, ours, public(kid="6"))
    assert request.recipient.jwk == ours
    with pytest.raises(NotSupported):
        with_keys(provider_rig, *others)


@pytest.mark.parametrize(
    "keys",
    [
        lambda: [public(kid=...)],
        lambda: [public(), public()],
        lambda: [public(d="A" * 43)],
        lambda: [public(), {"kty": "oct", "k": "AAAA", "kid": "s"}],
        lambda: [public(x=public()["x"])],
        lambda: [public(kid=str(number)) for number in range(17)],
    ],
)
def test_key_sets_that_are_malformed_or_leak_are_refused(provider_rig, keys):
    with pytest.raises(InvalidArgument):
        with_keys(provider_rig, *keys())
