"""``ownerctl open``: answer a provider's link over the web, as a browser hands it over.

The daemon opens no network connection, so this process does, and holds only what is signed or sealed. What it
does in turn: parse the link; contact its host once the owner agrees; hand the request object to the daemon,
which verifies it and asks the owner; post the sealed answer; show where the provider wants to go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from ownerctl import render
from ownerctl.options import Output, examples, output_options
from ownerd.model.errors import OwnerdError

if TYPE_CHECKING:
    from ownerctl.open_request import Asked


class Wishes(Struct, frozen=True):
    """What the command line settles beforehand; None as ``browser``: ask."""

    hosts: tuple[str, ...]
    agrees: bool
    browser: bool | None
    tells_refusal: bool


@click.command(
    "open",
    epilog=examples(
        "ownerctl open 'openid4vp://?client_id=…&request_uri=…'",
        "ownerctl open --host shop.example --no-browser --json 'openid4vp://?…'",
    ),
)
@click.argument("link")
@click.option(
    "--host", "hosts", multiple=True, metavar="NAME[:PORT]", help="Agree to contact this host, and no other."
)
@click.option("--yes", "agrees", is_flag=True, help="Agree to whatever host the link leads to; for scripts.")
@click.option(
    "--browser/--no-browser", default=None, help="Open the provider's page afterwards, or only show it."
)
@click.option(
    "--tell-refusal",
    "tells_refusal",
    is_flag=True,
    help="Tell the provider when you refuse; it gets no reason.",
)
@click.option("--hold", is_flag=True, help="Wait for Enter at the end, for a window that closes then.")
@output_options
def open_link(
    link: str,
    *,
    hosts: tuple[str, ...],
    agrees: bool,
    browser: bool | None,
    tells_refusal: bool,
    hold: bool,
    output: Output,
) -> int:
    """Answer a provider's openid4vp link over the web.

    Asks before it contacts the link's host, fetches the request, has the daemon ask you, and posts the sealed
    answer. Takes openid4vp, haip-vp and eudi-openid4vp links, as a browser hands them over.
    """
    from ownerctl.questions import say

    wishes = Wishes(hosts, agrees, browser, tells_refusal)
    if not hold:
        _follow(link, wishes, output)
        return 0
    code = 0
    try:
        _follow(link, wishes, output)
    except OwnerdError as error:
        say(error)
        code = error.exit_code
    _hold()
    return code


def _hold() -> None:
    from ownerctl.terminal import is_interactive

    if is_interactive():
        render.ask("press enter to close: ")


def _follow(text: str, wishes: Wishes, output: Output) -> None:
    """Answer a link. What is malformed is not its owner's to mend: the hint says whose it is."""
    from ownerctl.errors import UsageTrouble
    from ownerd.model.errors import InvalidArgument

    try:
        _answer(text, wishes, output)
    except InvalidArgument as error:
        hint = "the link is broken: have the page make another one, or tell its provider"
        raise UsageTrouble(str(error), hint=hint) from error


def _answer(text: str, wishes: Wishes, output: Output) -> None:
    from ownerctl.errors import CommandError
    from ownerctl.open_answer import deliver, follow, tell_refusal
    from ownerctl.open_config import allows_private
    from ownerctl.open_hosts import Hosts
    from ownerctl.open_request import obtain
    from ownerctl.openid_uri import parse_link
    from ownerctl.terminal import is_interactive
    from ownerctl.web import Web, proxy_variable
    from ownerd.model.errors import Busy
    from ownerd.model.paths import config_dir

    link = parse_link(text)
    asks = is_interactive()
    web = Web(allows_private=allows_private(config_dir() / "config.toml"))
    if (variable := proxy_variable()) is not None:
        render.note(f"{variable} is set and not followed: ownerctl connects to the provider directly")
    asked = obtain(link, web, Hosts(wishes.hosts, agrees=wishes.agrees, asks=asks))
    try:
        results = _present(asked, output)
    except OwnerdError as error:
        # What is worth another try, or was not decided by the daemon, is no refusal.
        if wishes.tells_refusal and not isinstance(error, Busy | CommandError):
            tell_refusal(asked, web)
        raise
    redirect = deliver(asked, results["response"], results.get("entry"), web)
    opened = False
    if redirect is not None:
        opened = follow(redirect, asked.response, opens=wishes.browser, asks=asks)
    if output.json:
        render.emit_json(
            {
                "host": asked.response.shown,
                "entry": results.get("entry"),
                "redirect_uri": redirect,
                "opened": opened,
            }
        )
    else:
        render.emit_line(f"{asked.response.shown} has the answer, recorded as entry {results.get('entry')}")


def _present(asked: Asked, output: Output) -> dict[str, Any]:
    """Have the daemon verify, ask and record. Raises what it names, and `BadAnswer`."""
    from ownerctl.bargain import Wishes as Bargaining
    from ownerctl.bargain import bargain
    from ownerctl.errors import BadAnswer

    # A link comes from anywhere: no grant serves it, and a counter-offer has no way back to the page.
    results = bargain(asked.text, Bargaining(asks=True), output)
    if not isinstance(results.get("response"), str):
        raise BadAnswer("the daemon gave no response")
    return results
