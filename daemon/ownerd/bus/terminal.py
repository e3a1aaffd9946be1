"""A terminal that a caller lends to prompts: checked before anything is shown or typed there."""

from __future__ import annotations

import os
import re
import stat
from typing import Final

from ownerd.model.caller import Terminal
from ownerd.model.errors import InvalidArgument, NotAllowed

DEFAULT_TERM: Final = "dumb"
DEFAULT_LOCALE: Final = "C.UTF-8"
MAX_TTY_CHARACTERS: Final = 64

_TTY = re.compile(r"/dev/(pts/[0-9]{1,10}|tty[A-Za-z]{0,8}[0-9]{1,4})", re.ASCII)
_TERM = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,63}", re.ASCII)
_LOCALE = re.compile(r"[A-Za-z][A-Za-z0-9._@-]{0,63}", re.ASCII)


def require_terminal(tty: str, term: str | None, locale: str | None, uid: int | None) -> Terminal:
    """Return the checked `Terminal`.

    ``tty`` must be, links resolved, a character device ``/dev/pts/N`` or ``/dev/tty…N`` of ``uid``. Raises
    `InvalidArgument` for what is no such path, name or device, `NotAllowed` for another user's.
    """
    if term is not None and not _TERM.fullmatch(term):
        raise InvalidArgument("option term is not a terminal name")
    if locale is not None and not _LOCALE.fullmatch(locale):
        raise InvalidArgument("option locale is not a locale name")
    # The given name is judged before it is followed: a path elsewhere is not even looked at.
    if len(tty) > MAX_TTY_CHARACTERS or not _TTY.fullmatch(tty):
        raise InvalidArgument("option tty is not a terminal under /dev")
    real = os.path.realpath(tty)
    if not _TTY.fullmatch(real):
        raise InvalidArgument("option tty is not a terminal under /dev")
    try:
        found = os.lstat(real)
    except OSError as error:
        raise InvalidArgument("option tty names no terminal") from error
    if not stat.S_ISCHR(found.st_mode):
        raise InvalidArgument("option tty names no terminal")
    if uid is None or found.st_uid != uid:
        raise NotAllowed("the terminal belongs to somebody else")
    return Terminal(real, term or DEFAULT_TERM, locale or DEFAULT_LOCALE)
