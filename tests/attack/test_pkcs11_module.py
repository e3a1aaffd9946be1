"""Hostile module paths and modules that hang, lie or lose their token in the middle."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11 import MechanismFlag
from tests.rigs.softhsm import MODULE, HsmCard, SoftHsm, left_open
from tests.rigs.tokens import FakeUi

from ownerd.app.config import read_config
from ownerd.core.seal import key_check
from ownerd.model.errors import Busy, ConfigError, ProtocolBroken, TokenMissing, TokenRemoved, WrongKey
from ownerd.model.token import SecretHandle, TokenCredential
from ownerd.tokens.pkcs11_module import open_modules
from ownerd.tokens.pkcs11_port import Pkcs11Tokens

CHALLENGE = hashlib.sha256(b"challenge").digest()
LIBC = "/lib/x86_64-linux-gnu/libc.so.6"


async def enrol(tokens: Pkcs11Tokens) -> TokenCredential:
    (info,) = await tokens.present()
    return await tokens.enrol(info.id, user_verification=True, ui=FakeUi())


def handle() -> SecretHandle:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    return SecretHandle(public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))


def bad_paths(directory: Path) -> dict[str, str]:
    text, writable, planted = directory / "text.so", directory / "open.so", directory / "open" / "module.so"
    text.write_text("no library")
    planted.parent.mkdir()
    for path in (writable, planted):
        path.write_bytes(Path(MODULE).read_bytes())
    writable.chmod(0o666)
    planted.parent.chmod(0o777)
    return {
        "relative": "libsofthsm2.so",
        "nul": "/usr\0/lib",
        "directory": str(directory),
        "missing": str(directory / "none.so"),
        "not a library": str(text),
        "others may write it": str(writable),
        "others may replace it": str(planted),
    }


def test_a_path_that_is_not_safe_to_load_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    for why, path in bad_paths(tmp_path).items():
        with pytest.raises(ConfigError) as raised:
            open_modules([path])
        assert "pkcs11_modules" in str(raised.value), why
        assert str(tmp_path) not in str(raised.value)
    with pytest.raises(ConfigError):
        open_modules([MODULE] * 9)


def test_one_file_named_twice_is_one_module(tmp_path: Path, softhsm: SoftHsm) -> None:
    link = tmp_path / "link.so"
    link.symlink_to(MODULE)
    assert len(open_modules([MODULE, str(link), MODULE])) == 1
    tokens = Pkcs11Tokens([str(link), MODULE], key_check=key_check)
    assert len(asyncio.run(tokens.present())) == 1


@pytest.mark.parametrize(
    "text",
    ['"/usr/lib/m.so"', "[1]", '["m.so"]', '["~/m.so"]', '["/usr/lib/a.so", "b.so"]'],
)
def test_config_takes_a_list_of_absolute_paths_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f"pkcs11_modules = {text}\n")
    with pytest.raises(ConfigError, match="pkcs11_modules"):
        read_config(path)
    path.write_text('pkcs11_modules = ["/usr/lib/m.so"]\n')
    assert read_config(path).pkcs11_modules == ("/usr/lib/m.so",)


@pytest.mark.skipif(not Path(LIBC).exists(), reason="no glibc where Debian has it")
def test_a_library_that_is_no_module_is_named_and_hides_no_other(softhsm: SoftHsm) -> None:
    async def use() -> None:
        tokens = Pkcs11Tokens([LIBC, MODULE], key_check=key_check)
        credential = await enrol(tokens)
        assert await tokens.locate([credential]) == credential
        with pytest.raises(ConfigError):
            await Pkcs11Tokens([LIBC], key_check=key_check).locate([credential])

    asyncio.run(use())


@pytest.mark.parametrize("function", ["C_Login", "C_Sign", "C_DeriveKey", "C_GetSlotList", "C_GetTokenInfo"])
def test_a_hanging_module_blocks_neither_the_loop_nor_other_modules(
    pkcs11_card: HsmCard, function: str
) -> None:
    async def use() -> None:
        tokens = pkcs11_card.tokens(step_timeout_seconds=0.3, use_timeout_seconds=0.3)
        credential = await enrol(tokens)
        ui = FakeUi(while_typing=lambda: pkcs11_card.misbehave(f"{function}:hang"))
        waiting = asyncio.create_task(tokens.approve(credential, CHALLENGE, [handle()], ui=ui))
        longest = 0.0
        while not waiting.done():
            began = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - began)
        assert isinstance(waiting.exception(), Busy)
        assert longest < 0.25
        began = time.monotonic()
        assert await tokens.present() == []
        with pytest.raises(Busy):
            await tokens.approve(credential, CHALLENGE, (), ui=FakeUi())
        assert time.monotonic() - began < 0.25
        pkcs11_card.misbehave("")
        (module,) = open_modules([pkcs11_card.module])
        while module.stuck:
            await asyncio.sleep(0.01)
        await tokens.approve(credential, CHALLENGE, [handle()], ui=FakeUi())

    asyncio.run(use())
    assert left_open(pkcs11_card.calls()) == (0, 0)


EXIT = """
import asyncio, os, sys
from ownerd.core.seal import key_check
from ownerd.tokens.pkcs11_port import Pkcs11Tokens
patient = Pkcs11Tokens([sys.argv[1]], key_check=key_check)
assert len(asyncio.run(patient.present())) == 1
os.environ["OWNERD_P11_FAULT"] = sys.argv[2] + ":hang"
hasty = Pkcs11Tokens([sys.argv[1]], key_check=key_check, step_timeout_seconds=0.2)
assert len(asyncio.run(hasty.present())) == (sys.argv[2] == "C_Finalize")
print("ends")
"""


@pytest.mark.parametrize("function", ["C_GetSlotList", "C_Finalize"])
def test_the_process_ends_while_a_module_hangs(pkcs11_card: HsmCard, function: str) -> None:
    command = [sys.executable, "-c", EXIT, pkcs11_card.module, function]
    done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=30)
    assert (done.stdout, done.returncode) == ("ends\n", 0), done.stderr


def test_a_token_deleted_while_the_person_types_gets_no_pin(softhsm: SoftHsm) -> None:
    async def use() -> None:
        tokens = softhsm.tokens()
        credential = await enrol(tokens)
        ui = FakeUi(while_typing=softhsm.delete_token)
        with pytest.raises((TokenMissing, TokenRemoved)):
            await tokens.approve(credential, CHALLENGE, (), ui=ui)

    asyncio.run(use())


# A search that is pulled in its middle cannot be ended any more; python-pkcs11 tries to, where nobody can catch it.
@pytest.mark.filterwarnings(
    r"ignore:Exception ignored in. 'pkcs11\._pkcs11\.OperationContext\.__del__':"
    "pytest.PytestUnraisableExceptionWarning"
)
def test_a_token_pulled_in_each_phase_is_missing_or_removed_and_comes_back(pkcs11_card: HsmCard) -> None:
    async def use() -> None:
        tokens = pkcs11_card.tokens()
        credential = await enrol(tokens)
        ui = FakeUi(while_typing=pkcs11_card.remove)
        with pytest.raises((TokenMissing, TokenRemoved)):
            await tokens.approve(credential, CHALLENGE, (), ui=ui)
        assert (await tokens.sight(credential)).trace is None
        pkcs11_card.insert()
        for function in ("C_Login", "C_FindObjectsInit", "C_SignInit", "C_Sign", "C_DeriveKey", "C_Logout"):
            ui = FakeUi(while_typing=lambda name=function: pkcs11_card.misbehave(f"{name}:pull"))
            if function == "C_Logout":
                await tokens.approve(credential, CHALLENGE, [handle()], ui=ui)
            else:
                with pytest.raises(TokenRemoved):
                    await tokens.approve(credential, CHALLENGE, [handle()], ui=ui)
            pkcs11_card.misbehave("")
            pkcs11_card.insert()
            await tokens.approve(credential, CHALLENGE, [handle()], ui=FakeUi())

    asyncio.run(use())
    assert left_open(pkcs11_card.calls()) == (0, 0)


@pytest.mark.parametrize("what", ["token", "keys"])
def test_another_token_in_the_same_place_gets_no_pin(pkcs11_card: HsmCard, what: str) -> None:
    """Nor does one that was given other keys meanwhile."""

    async def use() -> None:
        tokens = pkcs11_card.tokens()
        credential = await enrol(tokens)

        def exchange() -> None:
            if what == "token":
                pkcs11_card.delete_token()
                pkcs11_card.add_token()
            else:
                pkcs11_card.delete_keys(b"\x01")
            pkcs11_card.add_ec_key(b"\x01", uses=MechanismFlag.SIGN)
            pkcs11_card.calls()

        with pytest.raises(TokenMissing):
            await tokens.approve(credential, CHALLENGE, (), ui=FakeUi(while_typing=exchange))

    asyncio.run(use())
    assert not any(call.startswith("C_Login") for call in pkcs11_card.calls())


def test_a_key_exchanged_on_the_same_token_is_a_wrong_key(pkcs11_card: HsmCard) -> None:
    """Its public key is still the enrolled one, so only the signature shows it."""

    async def use() -> None:
        tokens = pkcs11_card.tokens()
        credential = await enrol(tokens)
        pkcs11_card.exchange_private_key(b"\x01")
        with pytest.raises(WrongKey):
            await tokens.approve(credential, CHALLENGE, [handle()], ui=FakeUi())

    asyncio.run(use())
    assert left_open(pkcs11_card.calls()) == (0, 0)


def test_a_module_that_wants_the_point_wrapped_gets_it(pkcs11_card: HsmCard) -> None:
    async def use() -> None:
        plain = pkcs11_card.tokens()
        credential = await enrol(plain)
        one = handle()
        first = await plain.approve(credential, CHALLENGE, [one], ui=FakeUi())
        pkcs11_card.misbehave("C_DeriveKey:der")
        again = await plain.approve(credential, CHALLENGE, [one], ui=FakeUi())
        assert again.secrets == first.secrets

    asyncio.run(use())


def test_a_token_that_refuses_ecdh_is_enrolled_to_sign_only(pkcs11_card: HsmCard) -> None:
    async def use() -> None:
        pkcs11_card.misbehave("C_DeriveKey:0x70")
        credential = await enrol(pkcs11_card.tokens())
        assert not credential.opens
        pkcs11_card.misbehave("C_DeriveKey:same")  # primed: from now on every secret is the first one's
        assert (await enrol(pkcs11_card.tokens())).opens
        with pytest.raises(ProtocolBroken):
            await enrol(pkcs11_card.tokens())

    asyncio.run(use())
