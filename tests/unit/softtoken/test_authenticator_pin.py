"""PIN, hmac-secret and large blobs, driven by python-fido2's own client classes."""

from __future__ import annotations

import pytest
from fido2.client import DefaultClientDataCollector, Fido2Client, UserInteraction
from fido2.ctap import CtapError
from fido2.ctap2 import ClientPin, Ctap2, LargeBlobs
from fido2.ctap2.extensions import HmacSecretExtension
from fido2.utils import sha256, websafe_decode
from fido2.webauthn import (
    PublicKeyCredentialCreationOptions,
    PublicKeyCredentialRequestOptions,
)
from tests.rigs.softtoken import InProcessDevice, Person, make_authenticator

from ownerd.softtoken.state import TokenState

ERR = CtapError.ERR
PERMISSION = ClientPin.PERMISSION
RP = "ownerd:owner"
ENTITY = {"id": RP, "name": RP}
USER = {"id": b"owner", "name": "owner"}
ES256 = [{"type": "public-key", "alg": -7}]
HASH = b"h" * 32
BOTH = PERMISSION.MAKE_CREDENTIAL | PERMISSION.GET_ASSERTION


class Bench:
    """A token that survives power cycles, with a clock to turn."""

    def __init__(self) -> None:
        self.state = TokenState()
        self.now = 0.0
        self.person = Person()
        self.saved = []
        self.power_cycle()

    def power_cycle(self) -> None:
        token = make_authenticator(
            self.person, state=self.state, saved=self.saved, monotonic=lambda: self.now
        )
        self.ctap = Ctap2(InProcessDevice(token))
        self.pin = ClientPin(self.ctap)

    def code(self, call, *args, **options):
        with pytest.raises(CtapError) as caught:
            call(*args, **options)
        return caught.value.code

    def uv(self, token, message=HASH):
        return {"pin_uv_param": self.pin.protocol.authenticate(token, message), "pin_uv_protocol": 2}

    def token(self, permissions=BOTH, rp_id=RP):
        return self.pin.get_pin_token("1234", permissions, rp_id)

    def make(self, **options):
        return self.ctap.make_credential(HASH, ENTITY, USER, ES256, **options)

    def secrets(self, made, salts, *, token=None, spoil=b""):
        agreement, shared = self.pin._get_shared_secret()
        encrypted = self.pin.protocol.encrypt(shared, salts)
        mac = self.pin.protocol.authenticate(shared, encrypted + spoil)
        answer = self.ctap.get_assertion(
            RP,
            HASH,
            [{"type": "public-key", "id": made.auth_data.credential_data.credential_id}],
            extensions={"hmac-secret": {1: agreement, 2: encrypted, 3: mac, 4: 2}},
            **({} if token is None else self.uv(token)),
        )
        return self.pin.protocol.decrypt(shared, answer.auth_data.extensions["hmac-secret"])


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def pin_bench(bench) -> Bench:
    bench.pin.set_pin("1234")
    bench.power_cycle()
    return bench


# -- PIN --


def test_a_pin_is_set_changed_and_used(bench) -> None:
    assert bench.code(bench.pin.get_pin_token, "1234") == ERR.PIN_NOT_SET
    bench.pin.set_pin("1234")
    assert bench.ctap.get_info().options["clientPin"] is True
    assert bench.code(bench.pin.set_pin, "9876") == ERR.PIN_AUTH_INVALID
    bench.pin.change_pin("1234", "пароль")
    assert bench.code(bench.pin.get_pin_token, "1234") == ERR.PIN_INVALID
    assert len(bench.pin.get_pin_token("пароль")) == 32


@pytest.mark.parametrize("pin", [b"123", b"", b"\xff\xff\xff\xff", b"1" * 64])
def test_pins_against_the_policy_are_refused(bench, pin) -> None:
    agreement, shared = bench.pin._get_shared_secret()
    new = bench.pin.protocol.encrypt(shared, pin.ljust(64, b"\0"))
    mac = bench.pin.protocol.authenticate(shared, new)
    code = bench.code(bench.ctap.client_pin, 2, 3, key_agreement=agreement, new_pin_enc=new, pin_uv_param=mac)
    assert code == ERR.PIN_POLICY_VIOLATION
    assert not bench.state.pin_hash


def test_three_wrong_pins_block_until_the_next_power_cycle_and_eight_for_good(pin_bench) -> None:
    bench = pin_bench
    codes = []
    for _ in range(3):
        codes += [bench.code(bench.pin.get_pin_token, "0000") for _ in range(3)]
        assert bench.code(bench.pin.get_pin_token, "1234") in {ERR.PIN_AUTH_BLOCKED, ERR.PIN_BLOCKED}
        bench.power_cycle()
    assert codes == [ERR.PIN_INVALID, ERR.PIN_INVALID, ERR.PIN_AUTH_BLOCKED] * 2 + [
        ERR.PIN_INVALID,
        ERR.PIN_BLOCKED,
        ERR.PIN_BLOCKED,
    ]
    assert bench.pin.get_pin_retries() == (0, False)
    assert bench.code(bench.pin.get_pin_token, "1234") == ERR.PIN_BLOCKED


def test_the_right_pin_gives_the_tries_back(pin_bench) -> None:
    bench = pin_bench
    for _ in range(2):
        bench.code(bench.pin.get_pin_token, "0000")
    assert bench.pin.get_pin_retries() == (6, False)
    bench.token()
    assert bench.pin.get_pin_retries() == (8, False)


def test_a_try_is_durable_before_the_pin_is_compared(pin_bench, monkeypatch) -> None:
    bench = pin_bench
    tries = []
    monkeypatch.setattr(
        "ownerd.softtoken.client_pin.constant_time.bytes_eq",
        lambda *_: tries.append((len(bench.saved), bench.state.pin_tries)) or False,
    )
    before = len(bench.saved)
    bench.code(bench.pin.get_pin_token, "1234")
    assert tries == [(before + 1, 7)]


def test_the_key_agreement_key_changes_after_a_wrong_pin(pin_bench) -> None:
    bench = pin_bench
    first = bench.ctap.client_pin(2, 2)
    assert bench.ctap.client_pin(2, 2) == first
    bench.code(bench.pin.get_pin_token, "0000")
    assert bench.ctap.client_pin(2, 2) != first


def test_a_key_that_is_not_on_the_curve_is_refused(pin_bench) -> None:
    bench = pin_bench
    point = {1: 2, 3: -25, -1: 1, -2: b"\1" * 32, -3: b"\2" * 32}
    code = bench.code(bench.ctap.client_pin, 2, 5, key_agreement=point, pin_hash_enc=bytes(32))
    assert code == ERR.INVALID_PARAMETER


# -- the token --


def test_user_verification_shows_in_the_flags(pin_bench) -> None:
    bench = pin_bench
    made = bench.make(**bench.uv(bench.token()))
    assert made.auth_data.is_user_verified()
    allow = [{"type": "public-key", "id": made.auth_data.credential_data.credential_id}]
    assert not bench.ctap.get_assertion(RP, HASH, allow).auth_data.is_user_verified()
    answer = bench.ctap.get_assertion(RP, HASH, allow, **bench.uv(bench.token()))
    assert answer.auth_data.is_user_verified()
    answer.verify(HASH, made.auth_data.credential_data.public_key)


def test_with_a_pin_set_no_credential_is_made_without_it(pin_bench) -> None:
    assert pin_bench.code(pin_bench.make) == ERR.PUAT_REQUIRED


def test_a_token_serves_one_touch_one_rp_and_its_permissions(pin_bench) -> None:
    bench = pin_bench
    token = bench.token()
    made = bench.make(**bench.uv(token))
    allow = [{"type": "public-key", "id": made.auth_data.credential_data.credential_id}]
    assert bench.code(bench.ctap.get_assertion, RP, HASH, allow, **bench.uv(token)) == ERR.PIN_AUTH_INVALID
    for other in (bench.token(PERMISSION.MAKE_CREDENTIAL), bench.token(rp_id="ownerd:other")):
        code = bench.code(bench.ctap.get_assertion, RP, HASH, allow, **bench.uv(other))
        assert code == ERR.PIN_AUTH_INVALID
    for other, message in ((b"\0" * 32, HASH), (bench.token(), b"x" * 32)):
        code = bench.code(bench.ctap.get_assertion, RP, HASH, allow, **bench.uv(other, message))
        assert code == ERR.PIN_AUTH_INVALID


def test_a_token_expires_unused_after_30_seconds_and_used_after_ten_minutes(pin_bench) -> None:
    bench = pin_bench
    made = bench.make(**bench.uv(bench.token()))
    allow = [{"type": "public-key", "id": made.auth_data.credential_data.credential_id}]

    def preflight(token):
        return bench.ctap.get_assertion(RP, HASH, allow, options={"up": False}, **bench.uv(token))

    token = bench.token()
    bench.now += 29
    preflight(token)  # no touch: the token is used and stays
    bench.now += 500
    preflight(token)
    bench.now += 100
    assert bench.code(preflight, token) == ERR.PIN_AUTH_INVALID
    token = bench.token()
    bench.now += 31
    assert bench.code(preflight, token) == ERR.PIN_AUTH_INVALID


def test_an_empty_pin_parameter_asks_for_a_touch_only(bench) -> None:
    options = {"pin_uv_param": b"", "pin_uv_protocol": 2}
    assert bench.code(bench.make, **options) == ERR.PIN_NOT_SET
    bench.pin.set_pin("1234")
    assert bench.code(bench.make, **options) == ERR.PIN_INVALID
    assert len(bench.person.asked) == 2


def test_permissions_that_do_not_exist_here_are_refused(pin_bench) -> None:
    assert pin_bench.code(pin_bench.token, PERMISSION.CREDENTIAL_MGMT) == ERR.UNAUTHORIZED_PERMISSION


# -- hmac-secret --


def test_two_salts_give_two_secrets_that_stay(bench) -> None:
    made = bench.make(extensions={"hmac-secret": True})
    assert made.auth_data.extensions == {"hmac-secret": True}
    one, two = b"1" * 32, b"2" * 32
    both = bench.secrets(made, one + two)
    assert both[:32] != both[32:]
    bench.power_cycle()
    assert bench.secrets(made, one) == both[:32]
    assert bench.secrets(made, two) == both[32:]


def test_the_secret_differs_with_user_verification_and_between_credentials(pin_bench) -> None:
    bench = pin_bench
    salt = b"s" * 32
    made = bench.make(**bench.uv(bench.token()))
    other = bench.make(**bench.uv(bench.token()))
    with_uv = bench.secrets(made, salt, token=bench.token())
    assert with_uv == bench.secrets(made, salt, token=bench.token())
    assert with_uv != bench.secrets(made, salt)
    assert bench.secrets(made, salt) != bench.secrets(other, salt)


def test_salts_with_a_wrong_mac_or_length_are_refused_before_a_touch(bench) -> None:
    made = bench.make()
    del bench.person.asked[:]
    assert bench.code(bench.secrets, made, b"s" * 32, spoil=b"x") == ERR.PIN_AUTH_INVALID
    for size in (16, 48, 80, 96):
        assert bench.code(bench.secrets, made, b"s" * size) in {ERR.INVALID_LENGTH, ERR.INVALID_PARAMETER}
    assert bench.person.asked == []


def test_there_is_no_secret_without_a_touch(bench) -> None:
    bench.make(options={"rk": True})
    code = bench.code(
        bench.ctap.get_assertion, RP, HASH, extensions={"hmac-secret": {}}, options={"up": False}
    )
    assert code == ERR.UNSUPPORTED_OPTION


class _Typist(UserInteraction):
    def request_pin(self, permissions, rp_id):
        return "1234"


def test_fido2_client_works_with_its_hmac_secret_extension(pin_bench) -> None:
    bench = pin_bench
    client = Fido2Client(
        bench.ctap.device,
        client_data_collector=DefaultClientDataCollector("https://owner.example"),
        user_interaction=_Typist(),
        extensions=[HmacSecretExtension(allow_hmac_secret=True)],
    )
    entity = {"id": "owner.example", "name": "x"}
    made = client.make_credential(
        PublicKeyCredentialCreationOptions.from_dict(
            {
                "rp": entity,
                "user": {"id": b"u", "name": "u", "displayName": "u"},
                "challenge": b"c" * 32,
                "pubKeyCredParams": ES256,
                "authenticatorSelection": {"userVerification": "required", "residentKey": "required"},
                "extensions": {"hmacCreateSecret": True},
            }
        )
    )
    assert made.client_extension_results["hmacCreateSecret"] is True
    asked = PublicKeyCredentialRequestOptions.from_dict(
        {
            "challenge": b"c" * 32,
            "rpId": "owner.example",
            "userVerification": "required",
            "extensions": {"hmacGetSecret": {"salt1": b"1" * 32, "salt2": b"2" * 32}},
        }
    )
    first, second = (client.get_assertion(asked).get_response(0) for _ in range(2))
    secrets = first.client_extension_results["hmacGetSecret"]
    assert len(websafe_decode(secrets["output1"])) == 32
    assert secrets == second.client_extension_results["hmacGetSecret"]


# -- large blobs --


def test_a_large_blob_is_kept_for_its_credential(bench) -> None:
    made = bench.make(options={"rk": True}, extensions={"largeBlobKey": True})
    allow = [{"type": "public-key", "id": made.auth_data.credential_data.credential_id}]
    key = made.large_blob_key
    assert bench.ctap.get_assertion(RP, HASH, allow, {"largeBlobKey": True}).large_blob_key == key
    blobs = LargeBlobs(bench.ctap)
    assert blobs.read_blob_array() == []
    content = bytes(range(256)) * 8
    blobs.put_blob(key, content)
    bench.power_cycle()
    assert LargeBlobs(bench.ctap).get_blob(key) == content


def test_fragments_go_together_and_bad_ones_change_nothing(bench) -> None:
    blobs = LargeBlobs(bench.ctap)
    blobs.max_fragment_length = 100
    array = [{1: b"x" * 900, 2: b"n" * 12, 3: 1}]
    blobs.write_blob_array(array)
    assert LargeBlobs(bench.ctap).read_blob_array() == array
    before = bench.state.large_blobs
    write = bench.ctap.large_blobs
    assert bench.code(write, 0, set=b"\x80" + bytes(16), length=17) == ERR.INTEGRITY_FAILURE
    assert bench.code(write, 0, set=b"x", length=5000) == ERR.LARGE_BLOB_STORAGE_FULL
    assert bench.code(write, 0, set=b"x" * 20, length=17) == ERR.INVALID_PARAMETER
    assert bench.code(write, 7, set=b"x") == ERR.INVALID_SEQ
    assert bench.code(write, 9999, get=1) == ERR.INVALID_PARAMETER
    assert bench.state.large_blobs == before


def test_with_a_pin_set_blobs_are_written_with_the_permission_only(pin_bench) -> None:
    bench = pin_bench
    array = [{1: b"x", 2: b"n" * 12, 3: 1}]
    assert bench.code(LargeBlobs(bench.ctap).write_blob_array, array) == ERR.PUAT_REQUIRED
    wrong = LargeBlobs(bench.ctap, bench.pin.protocol, bench.token())
    assert bench.code(wrong.write_blob_array, array) == ERR.PIN_AUTH_INVALID
    right = LargeBlobs(bench.ctap, bench.pin.protocol, bench.token(PERMISSION.LARGE_BLOB_WRITE))
    right.write_blob_array(array)
    assert right.read_blob_array() == array


def test_the_pin_is_kept_as_its_hash_only(pin_bench) -> None:
    assert pin_bench.state.pin_hash == sha256(b"1234")[:16]
