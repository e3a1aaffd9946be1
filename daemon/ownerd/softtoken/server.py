"""The software token's socket: CTAPHID reports over Unix SOCK_SEQPACKET, one report a packet.

The loop's thread owns sockets and framing; commands run on one worker thread, so that CANCEL and new
connections are heard while a touch is pending. Only processes of the same user are served (SO_PEERCRED).
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import struct
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Final

from fido2.ctap import STATUS

from ownerd.softtoken.authenticator import Authenticator
from ownerd.softtoken.failure import SocketError
from ownerd.softtoken.hid import ASSEMBLY_SECONDS, REPORT_BYTES, Cancel, HidPort, Reply, Serve

KEEPALIVE_SECONDS: Final = 0.1
MAX_CONNECTIONS: Final = 16


def open_socket(path: Path) -> socket.socket:
    """Listen on ``path`` (0600, in a directory of ours alone), replacing a stale socket.

    Raises `SocketError` when a live token has it, or when the directory is not safe.
    """
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        status = path.parent.lstat()
    except OSError as error:
        raise SocketError(f"cannot make {path.parent}; is XDG_RUNTIME_DIR set?") from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise SocketError(f"{path.parent} must be a directory that belongs to you alone (chmod 700)")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        _remove_stale(path)
        umask = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(umask)
        listener.listen(MAX_CONNECTIONS)
    except OSError as error:
        listener.close()
        raise SocketError(f"cannot listen on {path}") from error
    except SocketError:
        listener.close()
        raise
    return listener


def _remove_stale(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            return
        except ConnectionRefusedError:  # nobody listens: its process is gone
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise
            path.unlink()
            return
    raise SocketError(f"another software token listens on {path}; choose another --name")


class Server:
    """Serves one authenticator on one listening socket."""

    def __init__(self, authenticator: Authenticator, listener: socket.socket) -> None:
        self._authenticator = authenticator
        self._listener = listener
        self._port = HidPort()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="ctap")
        self._cancel = Event()
        self._served: socket.socket | None = None
        self._status = STATUS.PROCESSING
        self._connections: set[socket.socket] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, until: asyncio.Event) -> None:
        """Serve until ``until`` is set; then cancel what is in flight, and close."""
        accepting = asyncio.ensure_future(self._accept())
        ending = asyncio.ensure_future(until.wait())
        try:
            await asyncio.wait({accepting, ending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            accepting.cancel()
            ending.cancel()
            self._cancel.set()
            for connection in list(self._connections):
                self._drop(connection)
            self._listener.close()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._worker.shutdown()
        if accepting.done() and not accepting.cancelled():
            accepting.result()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _address = await loop.sock_accept(self._listener)
            connection.setblocking(False)
            if not _is_same_user(connection) or len(self._connections) >= MAX_CONNECTIONS:
                connection.close()
                continue
            self._connections.add(connection)
            self._start(self._listen(connection))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _listen(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            with suppress(OSError):
                while connection in self._connections:
                    report = await loop.sock_recv(connection, REPORT_BYTES + 1)
                    if len(report) != REPORT_BYTES:  # closed, or not speaking CTAPHID
                        break
                    self._take(connection, report)
        finally:
            self._drop(connection)
            connection.close()

    def _take(self, connection: socket.socket, report: bytes) -> None:
        for event in self._port.receive(connection, report):
            match event:
                case Reply(reports):
                    self._send(connection, reports)
                case Cancel(drop):
                    self._cancel.set()
                    if drop:
                        self._served = None
                case Serve(_, payload):
                    self._cancel, self._served, self._status = Event(), connection, STATUS.PROCESSING
                    self._start(self._serve(payload, self._cancel))
        # A message whose rest never comes must not keep the port busy.
        asyncio.get_running_loop().call_later(ASSEMBLY_SECONDS + 0.01, self._expire)

    def _expire(self) -> None:
        expired = self._port.expire()
        if expired is not None and isinstance(expired[0], socket.socket):
            self._send(expired[0], expired[1])

    async def _serve(self, payload: bytes, cancel: Event) -> None:
        loop = asyncio.get_running_loop()

        def on_keepalive(status: STATUS) -> None:
            loop.call_soon_threadsafe(self._tell, status)

        work = loop.run_in_executor(self._worker, self._authenticator.call, payload, cancel, on_keepalive)
        while True:
            done, _pending = await asyncio.wait({work}, timeout=KEEPALIVE_SECONDS)
            if done:
                break
            self._tell(self._status)
        try:
            answer = work.result()
        except BaseException:
            # A bug of ours or a full disk: close rather than leave the client waiting.
            if self._served is not None:
                self._drop(self._served)
            self._port.abandon()
            raise
        if self._served is None:
            self._port.abandon()
        else:
            self._send(self._served, self._port.finish(answer))

    def _tell(self, status: STATUS) -> None:
        self._status = status
        if self._served is not None:
            self._send(self._served, self._port.keepalive(status))

    def _send(self, connection: socket.socket, reports: list[bytes]) -> None:
        try:
            for report in reports:
                connection.send(report)
        except OSError:  # gone, or it does not read what it asked for
            self._drop(connection)

    def _drop(self, connection: socket.socket) -> None:
        """Forget a connection. The task that reads it wakes up, ends, and closes it."""
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        if self._port.forget(connection):
            self._cancel.set()
            self._served = None
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


def _is_same_user(connection: socket.socket) -> bool:
    _pid, uid, _gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return bool(uid == os.getuid())
