"""A terminal that its owner lends for one prompt: looked at again, and left as it was found.

The bus has checked the path already; between that and now the terminal may have gone and its number may be
another's, so it is checked once more at the moment of use. A pinentry that is ended in the middle leaves
the terminal without echo, and what was typed of a PIN in its input queue, where the shell would run it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import select
import signal
import stat
import termios
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final, Self

from ownerd.model.caller import Terminal
from ownerd.model.errors import NotFound

_TTY: Final = re.compile(r"/dev/(?:pts/[0-9]{1,8}|tty[0-9A-Za-z]{1,16})", re.ASCII)
_TERM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,63}", re.ASCII)
_LOCALE: Final = re.compile(r"[A-Za-z][A-Za-z0-9@._-]{0,63}", re.ASCII)


def is_usable(terminal: Terminal) -> bool:
    """Whether the terminal is there and is ours."""
    if not _TTY.fullmatch(terminal.tty):
        return False
    try:
        found = os.lstat(terminal.tty)
    except OSError:
        return False
    return stat.S_ISCHR(found.st_mode) and found.st_uid == os.getuid()


def pinentry_options(terminal: Terminal) -> list[str]:
    """``OPTION`` arguments for a terminal.

    The character set is always UTF-8: in another one pinentry-curses fails on the owner's own name, and a
    conversion could show something else than what is signed.
    """
    term = terminal.term if _TERM.fullmatch(terminal.term) else "dumb"
    options = [f"ttyname={terminal.tty}", f"ttytype={term}", "lc-ctype=C.UTF-8"]
    if _LOCALE.fullmatch(terminal.locale):
        options.append(f"lc-messages={terminal.locale}")
    return options


@contextlib.contextmanager
def _background_writes() -> Iterator[None]:
    """Let us change a terminal whose foreground is not ours (else SIGTTOU stops the daemon)."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class BorrowedTerminal:
    """The terminal during one prompt: typed-ahead input is dropped first, settings come back after."""

    def __init__(self, terminal: Terminal) -> None:
        self._path = terminal.tty
        self._usable = is_usable(terminal)
        self._fd = -1
        self.finished = False  # set when the pinentry ended by itself and so put everything back

    def __enter__(self) -> Self:
        """Raises `NotFound` when the terminal is gone or is not ours."""
        try:
            if not self._usable:
                raise NotFound("the terminal is not there any more")
            flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(self._path, flags)
            found = os.fstat(self._fd)
            if not stat.S_ISCHR(found.st_mode) or found.st_uid != os.getuid():
                raise NotFound("the terminal is not there any more")
            with _background_writes():
                termios.tcflush(self._fd, termios.TCIFLUSH)
            self._saved = termios.tcgetattr(self._fd)
        except (OSError, termios.error) as error:
            self._close()
            raise NotFound("the terminal is not there any more") from error
        except NotFound:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put the settings back unless the pinentry did, and drop what was typed of an unfinished answer."""
        try:
            if not self.finished:
                with _background_writes(), contextlib.suppress(OSError, termios.error):
                    # A terminal that has gone needs nothing back.
                    termios.tcsetattr(self._fd, termios.TCSAFLUSH, self._saved)
                    os.write(self._fd, b"\r\n")
        finally:
            self._close()

    @contextlib.contextmanager
    def hangup_calls(self, end: Callable[[], None]) -> Iterator[None]:
        """Call ``end`` when the window is closed: pinentry-curses would go on until its time-out."""
        loop = asyncio.get_running_loop()

        def act() -> None:
            loop.remove_reader(watch.fileno())
            end()

        with select.epoll() as watch:
            # No event is asked for, so that input wakes nobody; a hang-up is always told.
            watch.register(self._fd, 0)
            loop.add_reader(watch.fileno(), act)
            try:
                yield
            finally:
                loop.remove_reader(watch.fileno())

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
