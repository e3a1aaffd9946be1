"""``ownerctl request``: be an app, for scripts and for trying out.

Builds an unsigned OpenID4VP request (its client id is a ``redirect_uri:`` that nobody calls), or carries
one that a provider made. A request whose answer is sealed to a key that is not ours yields the JWE as it is.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from ownerctl import render
from ownerctl.claims import require_asked
from ownerctl.options import Output, complete_asked, examples, output_options

if TYPE_CHECKING:
    from ownerd.credential.jwe import JwePrivateKey
    from ownerd.model.encoding import Json

DEFAULT_URI = "https://ownerctl.invalid/response"
_MAX_REQUEST_BYTES = 1 << 18


class Asked(Struct, frozen=True):
    """A request to send, and the key that opens its answer where we made that key."""

    text: str
    key: JwePrivateKey | None
    nonce: str
    audience: str
    state: str | None


def _client_metadata(key: JwePrivateKey) -> dict[str, Json]:
    from ownerd.credential.jwe import public_jwk

    return {
        "jwks": {"keys": [public_jwk(key)]},
        "encrypted_response_enc_values_supported": ["A256GCM"],
        "vp_formats_supported": {
            "dc+sd-jwt": {"sd-jwt_alg_values": ["ES256"], "kb-jwt_alg_values": ["ES256"]}
        },
    }


def build_request(names: list[str], response_uri: str, purpose: str | None = None) -> dict[str, Json]:
    """An unsigned request for ``names`` (OpenID4VP 1.0, section 5), without a key for the answer."""
    from ownerd.model.claim import claim_path
    from ownerd.model.names import VCT

    return {
        "response_type": "vp_token",
        "response_mode": "direct_post.jwt",
        "client_id": f"redirect_uri:{response_uri}",
        "response_uri": response_uri,
        "nonce": secrets.token_urlsafe(24),
        **({} if purpose is None else {"purpose": purpose}),
        "dcql_query": {
            "credentials": [
                {
                    "id": "owner",
                    "format": "dc+sd-jwt",
                    "meta": {"vct_values": [VCT]},
                    "claims": [{"path": list(claim_path(name))} for name in names],
                }
            ]
        },
    }


def with_own_key(request: dict[str, Json]) -> Asked:
    """Give an unsigned request a key of ours for its answer, unless it brings one."""
    from ownerd.credential.jwe import new_key

    metadata = request.get("client_metadata")
    has_key = isinstance(metadata, dict) and ("jwks" in metadata or "jwks_uri" in metadata)
    key = None if has_key else new_key()
    if key is not None:
        request = {**request, "client_metadata": {**(metadata or {}), **_client_metadata(key)}}
    state = request.get("state")
    return Asked(
        json.dumps(request, ensure_ascii=False),
        key,
        str(request.get("nonce")),
        str(request.get("client_id")),
        state if isinstance(state, str) else None,
    )


def read_request(path: str) -> Asked:
    """A request object from a file or standard input: compact signed JWT, or JSON."""
    from ownerctl.errors import FileTrouble, UsageTrouble
    from ownerctl.given_file import read_given
    from ownerd.model.encoding import parse_json_object
    from ownerd.model.errors import InvalidArgument

    raw = read_given(path, "request", _MAX_REQUEST_BYTES, or_stdin=True)
    try:
        text = raw.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise FileTrouble("the request is not UTF-8 text") from error
    if len(raw) > _MAX_REQUEST_BYTES or not text:
        raise FileTrouble("the request is empty or too large")
    if not text.startswith("{"):
        return Asked(text, None, "", "", None)
    try:
        return with_own_key(parse_json_object(text))
    except InvalidArgument as error:
        raise UsageTrouble("the request is not a JSON object") from error


@click.command(
    epilog=examples("ownerctl request --claim given_name --claim email --json", "ownerctl request --file -")
)
@click.option(
    "--claim", "names", multiple=True, metavar="NAME", shell_complete=complete_asked, help="Ask for a claim."
)
@click.option(
    "--file", "path", type=click.Path(allow_dash=True), help="Send this request object; - reads it."
)
@click.option("--purpose", metavar="TEXT", help="Why, as the owner is to read it.")
@click.option(
    "--response-uri",
    default=DEFAULT_URI,
    show_default=True,
    metavar="URI",
    help="Names the asker; never called.",
)
@click.option("--negotiate", "negotiates", is_flag=True, help="Take counter-offers, and be asked about each.")
@click.option(
    "--accept", "accepts", is_flag=True, help="Accept whatever the owner offers instead; for scripts."
)
@click.option("--ask", "asks", is_flag=True, help="Have the owner asked in any case: no grant serves.")
@output_options
def request(
    names: tuple[str, ...],
    *,
    path: str | None,
    purpose: str | None,
    response_uri: str,
    negotiates: bool,
    accepts: bool,
    asks: bool,
    output: Output,
) -> None:
    """Ask for claims as an app does, for scripts.

    Prints the claims once the owner approved and the answer is verified. For a request object of a
    provider (--file), whose answer only the provider can open, prints the JWE. A counter-offer that nobody
    accepts is printed, and ends with exit status 6.
    """
    from ownerctl.bargain import Wishes, bargain
    from ownerctl.errors import UsageTrouble

    if bool(names) == (path is not None):
        raise UsageTrouble("give either --claim NAME or --file FILE", hint="ownerctl request --help")
    if path is not None:
        asked = read_request(path)
    else:
        asked = with_own_key(build_request(require_asked(names), response_uri, purpose))

    wishes = Wishes(negotiates=negotiates, accepts=accepts, asks=asks)
    _print_answer(asked, bargain(asked.text, wishes, output), output)


def _print_answer(asked: Asked, results: dict[str, Any], output: Output) -> None:
    from ownerctl.errors import BadAnswer
    from ownerctl.received import open_response, verify_presentation

    response, entry = results.get("response"), results.get("entry")
    if not isinstance(response, str):
        raise BadAnswer("the daemon gave no response")
    if asked.key is None:
        # Sealed to the provider's key: only the provider reads it.
        if output.json:
            render.emit_json({"entry": entry, "response": response})
        else:
            render.emit_line(response)
        return
    presentation = open_response(response, asked.key, state=asked.state)
    received = verify_presentation(presentation, nonce=asked.nonce, audience=asked.audience)
    if output.json:
        render.emit_json(
            {
                "entry": entry,
                "holder": received.holder,
                "claims": received.claims,
                "presentation": received.presentation,
            }
        )
    else:
        render.emit_table(list(received.claims.items()), ("claim", "value"))
        render.note(f"recorded as entry {entry}")
