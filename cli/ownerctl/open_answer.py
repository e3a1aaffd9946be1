"""The way back: post the sealed answer, or a refusal, and go where the provider points (OpenID4VP 1.0, 8.2)."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from ownerctl import render
from ownerctl.web import Answer, Place, Web, WebTrouble, parse_place
from ownerd.model.encoding import parse_json_object
from ownerd.model.errors import InvalidArgument, OwnerdError
from ownerd.model.plain import shorten, show_plain

if TYPE_CHECKING:
    from ownerctl.open_request import Asked

MAX_WORDS: Final = 200
_JSON: Final = "application/json"
_FRAGMENT = re.compile(r"[!\"$-~]*", re.ASCII)  # printable, without a second #


def tell_words(answer: Answer, place: Place) -> None:
    """Show a little of what a server says about its error: one line, nothing hidden, nothing obeyed."""
    text = answer.body[: MAX_WORDS * 8].decode("utf-8", "replace")
    if answer.media_type == _JSON:
        try:
            members = parse_json_object(answer.body)
        except InvalidArgument:
            members = {}
        words = [
            members[name] for name in ("error", "error_description") if isinstance(members.get(name), str)
        ]
        text = ": ".join(words)
    elif not answer.media_type.startswith("text/"):
        return
    shown = shorten(show_plain(" ".join(text.split())), MAX_WORDS)
    if shown:
        render.note(f"{place.shown} says: {shown}")


def deliver(asked: Asked, response: str, entry: object, web: Web) -> str | None:
    """Post the answer; returns the ``redirect_uri`` that the provider names, checked, or None.

    Tried once: what was posted may have arrived even when the server's answer does not. Raises `WebTrouble`.
    """
    try:
        answer = web.post(asked.response, {"response": response}, accept=_JSON)
        if answer.status != 200:
            tell_words(answer, asked.response)
            raise WebTrouble(f"{asked.response.shown} answers with status {answer.status}")
    except WebTrouble as error:
        raise WebTrouble(
            str(error), hint=f"entry {entry} records the disclosure; whether it arrived is not known"
        ) from error
    return redirect_of(answer, asked.response)


def redirect_of(answer: Answer, place: Place) -> str | None:
    """``redirect_uri`` of the provider's answer, or None; one that is not https is said and dropped."""
    try:
        members = parse_json_object(answer.body) if answer.media_type == _JSON else None
    except InvalidArgument:
        members = None
    if members is None:
        render.note(f"{place.shown} took the answer, and answered in another form than the standard's")
        return None
    if "redirect_uri" not in members:
        return None
    uri = members["redirect_uri"]
    try:
        if not isinstance(uri, str):
            raise InvalidArgument("redirect_uri is not text")
        base, _, fragment = uri.partition("#")  # section 8.2 puts a response code there
        parse_place(base, "redirect_uri")
        if len(uri) > 2048 or not _FRAGMENT.fullmatch(fragment):
            raise InvalidArgument("redirect_uri is malformed")
    except InvalidArgument:
        render.note(f"{place.shown} names a page to go on at that is no https address; it is not opened")
        return None
    return uri


def tell_refusal(asked: Asked, web: Web) -> None:
    """Post ``error=access_denied`` (8.5 and RFC 6749, 4.1.2.1), which gives no reason. Raises nothing."""
    form = {"error": "access_denied", **({} if asked.state is None else {"state": asked.state})}
    try:
        web.post(asked.response, form, accept=_JSON)
    except OwnerdError as error:
        render.note(f"the refusal was not delivered: {error}")
    else:
        render.note(f"{asked.response.shown} was told of the refusal, without a reason")


def follow(uri: str, place: Place, *, opens: bool | None, asks: bool) -> bool:
    """Show the page to go on at and open it if ``opens``, or if the owner agrees; returns whether it was.

    The browser gets an https address that was checked, as one argument and through no shell.
    """
    from ownerctl.questions import agree

    target = parse_place(uri.partition("#")[0], "redirect_uri")
    render.note(f"the provider asks you to go on at {show_plain(uri)}")
    if target.host != place.host:
        render.note(f"beware: that is another host than {place.host}")
    if opens is None:
        opens = asks and agree(f"open {target.shown} in the browser?", default=target.host == place.host)
    if not opens:
        return False
    program = shutil.which("xdg-open")
    if program is None:
        render.note("there is no xdg-open here to open it with")
        return False
    try:
        subprocess.Popen(
            [program, uri],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        render.note("the browser cannot be started")
        return False
    return True
