"""``./dev demo``: one disclosure from an empty disk to a verified ledger, told as it happens.

Real processes on a private bus: the daemon, the software token, the owner's tool, the bookshop's app and an
independent verifier. Exit status: 0 when every check passed, 3 when the owner refused, 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from demo.stage import BIN, Screen, Stage, StageError, touch

HERE: Final = Path(__file__).parent
CLAIMS: Final = "given_name,family_name,email,address.street_address,address.postal_code,address.locality"
POLICY: Final = """version = 1

[[rule]]                      # an age is enough
provider = "bookshop.example"
claims = ["birthdate"]
do = "substitute"
with = "age_over_18"
days = 7
count = 10
per_hour = 10

[[rule]]                      # and they may have it again
provider = "bookshop.example"
claims = ["given_name"]
do = "grant"
days = 7
count = 10
per_hour = 10
"""
COLOUR = sys.stdout.isatty()


def paint(code: str, text: str) -> str:
    """Colour on a terminal, plain elsewhere."""
    return f"\x1b[{code}m{text}\x1b[0m" if COLOUR else text


def chapter(number: int, title: str) -> None:
    print(f"\n{paint('1;36', f'{number}. {title}')}", flush=True)


def tell(text: str) -> None:
    print(f"   {text}", flush=True)


def passed(text: str) -> None:
    print(f"   {paint('32', '✓')} {text}", flush=True)


def show(title: str, text: str) -> None:
    """Show what stood on somebody's terminal."""
    lines = [line.rstrip() for line in text.strip("\n").splitlines()]
    print(f"   {paint('2', '┌─ ' + title)}")
    for line in lines:
        print(f"   {paint('2', '│')} {line}")
    print(f"   {paint('2', '└─')}", flush=True)


def require(holds: object, what: str) -> None:
    """Pass a check, or end the story."""
    if not holds:
        raise StageError(f"not true: {what}")
    passed(what)


class Owner:
    """The person: answers prompts and touches the token, by hand or (``--yes``) by itself."""

    def __init__(self, token: Screen, *, always: bool) -> None:
        self._token = token
        self._always = always

    def agrees(self, question: str) -> bool:
        """Wait for Enter; ``n`` refuses."""
        if self._always:
            tell(paint("33", f"{question} [Enter]  (--yes)"))
            return True
        return input(paint("33", f"   {question} [Enter, or n]: ")).strip().lower() not in {"n", "no"}

    def touch(self) -> None:
        """Touch the token, once it asks."""
        asked = touch(self._token)
        tell(f"the token was asked to {asked}, and was touched")

    def approve(self, terminal: Screen, question: str) -> bool:
        """Read the prompt on ``terminal``; on Enter press its first button and touch the token."""
        prompt = terminal.wait_for(r"\[(\w)r\]\? ")
        text, _, _ = prompt.rpartition("\n")
        body = "\n".join(text.splitlines()[:-2])
        show("the daemon's own prompt (pinentry), on the owner's terminal", body)
        if not self.agrees(question):
            terminal.type("r\n")
            return False
        terminal.type(prompt[prompt.rindex("[") + 1] + "\n")
        terminal.wait_for("\n")  # the echo, which is no part of the next prompt
        self.touch()
        return True


def play(stage: Stage, *, always: bool) -> int:
    """Tell the story. Raises `StageError` at the first thing that is not as it should be."""
    chapter(1, "The stage: a private bus, the daemon, a token")
    stage.start_bus()
    daemon = stage.start_daemon()
    token = stage.start_token()
    owner = Owner(token, always=always)
    tell(f"ownerd is process {daemon.process.pid}, the software token is process {token.process.pid}")
    tell("the software token is for trying out: any program of yours could press its Enter")

    verifier_key = set_up(stage, owner)
    bring_data(stage, owner)

    chapter(4, "A bookshop's app asks over D-Bus")
    shop = [sys.executable, str(HERE / "bookshop.py"), "--ca-dir", str(stage.home / "shop")]
    subprocess.run([*shop, "make-ca"], check=True, env=stage.env, stderr=subprocess.DEVNULL)
    anchor = (stage.home / "shop" / "ca.pem").read_bytes()
    (stage.trust_directory / "bookshop-ca.pem").write_bytes(anchor)
    tell("its CA is in the owner's trust.d; its request is signed and names the key for the answer")
    terminal = stage.tool("watch")
    if not owner.approve(terminal, "Touch to let prompts show values on this terminal?"):
        raise StageError("no terminal was lent")
    terminal.wait_for("prompts appear here[^\n]*\n")
    app = subprocess.Popen(
        [*shop, "ask", "--claims", CLAIMS],
        env=stage.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if not owner.approve(terminal, "Touch to approve exactly this?"):
        return refused(app)
    out, err = app.communicate(timeout=30)
    show("the bookshop's terminal", err)
    require(app.returncode == 0, "the bookshop verified the credential with sd-jwt and jwcrypto")
    result: dict[str, Any] = json.loads(out)
    show("what the bookshop has now", "\n".join(flat(result["claims"])))
    require(
        len(flat(result["claims"])) == len(CLAIMS.split(",")), "six values, and nothing else of the vault"
    )
    bargain(stage, owner, terminal, shop)
    terminal.end(2)

    check_ledger(stage, verifier_key, result["entry"])
    lock(stage, daemon)
    return 0


def set_up(stage: Stage, owner: Owner) -> str:
    """Enrol the token; returns the log's verifier key."""
    chapter(2, "Set-up: the token becomes the key to an empty vault")
    if not owner.agrees(
        "Touch the token twice, to make its credential and to prove that it opens the vault?"
    ):
        raise StageError("nothing was set up")
    tool = stage.tool("setup", "--json")
    owner.touch()
    owner.touch()
    require(tool.wait() == 0, "the vault is made, sealed to the token")
    made = shown_json(tool)
    tell("the ledger's verifier key, to keep elsewhere:")
    tell(f"  {made['verifier_key']}")
    return str(made["verifier_key"])


def bring_data(stage: Stage, owner: Owner) -> None:
    """Import the sample owner's card."""
    chapter(3, "The owner's data: one vCard, kept once, here")
    tool = stage.tool("data", "import", str(HERE / "owner.vcf"))
    if not owner.approve(tool, "Touch to write this into your vault?"):
        raise StageError("nothing was imported")
    require(tool.wait() == 0, "the card is in the vault, and an entry says so")


def bargain(stage: Stage, owner: Owner, terminal: Screen, shop: list[str]) -> None:
    """A policy answers with an offer, and one touch serves several answers."""
    chapter(5, "The owner bargains: a policy, an offer, and one touch for many answers")
    policy = stage.home / "policy.toml"
    policy.write_text(POLICY)
    tool = stage.tool("policy", "import", str(policy))
    if not owner.approve(tool, "Touch to make this your policy?"):
        raise StageError("there is no policy")
    require(tool.wait() == 0, "the policy is in force, sealed in the vault")
    for number, question in enumerate(("Touch to approve this, and its repeats?", None)):
        asked = [*shop, "ask", "--claims", "given_name,birthdate", "--negotiate"]
        app = subprocess.Popen(
            asked, env=stage.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        if question is not None and not owner.approve(terminal, question):
            raise StageError("the owner refused")
        out, err = app.communicate(timeout=30)
        require(app.returncode == 0, f"the bookshop verified answer {number + 1}")
        if question is not None:
            show("the bookshop's terminal", err)
            show("what it got", "\n".join(flat(json.loads(out)["claims"])))
        else:
            tell("nobody was asked: the grant lasts for 10 answers in 7 days, and each is in the ledger")


def refused(app: subprocess.Popen[str]) -> int:
    """The owner said no."""
    _, err = app.communicate(timeout=30)
    show("the bookshop's terminal", err)
    require(app.returncode == 3, "the bookshop got nothing but a refusal, and the ledger says so")
    return 3


def flat(claims: dict[str, Any]) -> list[str]:
    """Claims as lines."""
    lines: list[str] = []
    for name, value in claims.items():
        if isinstance(value, dict):
            lines += [f"{name}.{inner}: {text}" for inner, text in value.items()]
        else:
            lines.append(f"{name}: {value}")
    return lines


def shown_json(tool: Screen) -> dict[str, Any]:
    """The JSON object on a tool's terminal, between what it says to people."""
    found: dict[str, Any]
    found, _ = json.JSONDecoder().raw_decode(tool.text, tool.text.index("{"))
    return found


def verify(stage: Stage, database: Path, key: str) -> Screen:
    """Verify a ledger in a process of its own: no daemon, no token."""
    tool = stage.tool("ledger", "verify", "--file", str(database), "--key", key)
    tool.wait()
    return tool


def check_ledger(stage: Stage, verifier_key: str, entry: int) -> None:
    """Verify the ledger, then damage a copy and see the damage named."""
    chapter(6, "The ledger: verified by another process, without daemon and token")
    honest = verify(stage, stage.database, verifier_key)
    show("ownerctl ledger verify", honest.text)
    require(honest.process.returncode == 0, f"the ledger holds; the disclosure is entry {entry}")

    chapter(7, "One byte changes in a copy")
    copy = stage.home / "copy.db"
    with (
        sqlite3.connect(f"file:{stage.database}?mode=ro", uri=True) as source,
        sqlite3.connect(copy) as target,
    ):
        source.backup(target)
    (leaf,) = target.execute("select leaf from entry where seq = ?", (entry,)).fetchone()
    at = leaf.index(b'"time":"') + len(b'"time":"2026-11-2')
    changed = leaf[:at] + bytes([leaf[at] ^ 1]) + leaf[at + 1 :]
    target.execute("update entry set leaf = ? where seq = ?", (changed, entry))
    target.commit()
    source.close()
    target.close()
    tell(f"byte {at} of entry {entry}: {chr(leaf[at])!r} became {chr(changed[at])!r}")
    damaged = verify(stage, copy, verifier_key)
    show("ownerctl ledger verify", damaged.text)
    require(damaged.process.returncode == 5, "the verifier finds the copy tampered with")
    require(f"entry {entry}" in damaged.text, f"and names entry {entry}")


def lock(stage: Stage, daemon: Screen) -> None:
    """Lock, which ends the process; the next call starts a locked one."""
    chapter(8, "Locking ends the process: exit is the only wipe one can rely on")
    require(stage.tool("lock").wait() == 0, "ownerctl lock")
    require(daemon.wait() == 0, f"process {daemon.process.pid} is gone, and the vault key with it")
    status = stage.tool("status", "--json")
    status.wait()
    again = shown_json(status)
    require(not again["unlocked"] and again["set_up"], "the next call starts a fresh daemon, locked")


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__.splitlines()[0])
    parser.add_argument("--yes", action="store_true", help="answer every question with Enter, for scripts")
    arguments = parser.parse_args()
    started = time.monotonic()
    print(paint("1", "ownerd: your data, disclosed by touch, recorded before it leaves"))
    try:
        with Stage() as stage:
            code = play(stage, always=arguments.yes)
    except (StageError, subprocess.SubprocessError, OSError, ValueError, EOFError) as error:
        print(f"\n{paint('1;31', 'the story ends here:')} {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nended by Ctrl-C; nothing is left behind", file=sys.stderr)
        return 130
    seconds = time.monotonic() - started
    ending = "every check passed" if code == 0 else "the owner refused, and that was respected"
    print(f"\n{paint('1;32', ending)} in {seconds:.1f} s; everything was in a directory that is gone now")
    print(f"{paint('2', 'try it with your own hands: README.md, and')} {BIN.parent.name}/bin/ownerctl --help")
    return code


if __name__ == "__main__":
    sys.exit(main())
