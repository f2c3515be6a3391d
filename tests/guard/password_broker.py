"""A real broker behind a password, which stands in no command line: the server reads its configuration from standard input."""

from __future__ import annotations

import subprocess
import threading
import time
from typing import TYPE_CHECKING, Self

import redis

from pipeline.cli.start import free_port
from tasks.embedded import find_server

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class PasswordBroker:
    """On a port of its own, its journal in `folder`. `heard` is all that was ever published on any channel."""

    def __init__(self, folder: Path, password: str) -> None:
        """Nothing is started yet."""
        self.folder, self._password, self.port = folder, password, free_port(0)
        self.heard: list[bytes] = []
        self._process: subprocess.Popen[bytes] | None = None

    def client(self) -> redis.Redis:
        """A connection."""
        return redis.Redis(port=self.port, password=self._password, socket_timeout=5)

    def start(self) -> None:
        """Return once it answers."""
        self.folder.mkdir(exist_ok=True)
        quoted = self._password.replace("\\", "\\\\").replace('"', '\\"')
        lines = ["bind 127.0.0.1", f"port {self.port}", f'requirepass "{quoted}"', "appendonly yes", 'save ""', f'dir "{self.folder}"']
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen([find_server(), "-"], stdin=subprocess.PIPE, stdout=log, stderr=log)
        assert self._process.stdin is not None
        with self._process.stdin as given:
            given.write("\n".join(lines).encode())
        for _ in range(500):
            try:
                self.client().ping()
                break
            except redis.ConnectionError:
                time.sleep(0.02)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        try:
            with self.client().pubsub() as heard:  # type: ignore[no-untyped-call]
                heard.psubscribe("*")
                while (message := heard.get_message(timeout=None)) is not None:
                    self.heard.append(repr(message).encode())
        except (redis.RedisError, OSError, ValueError):
            return

    def stop(self) -> None:
        """End it; its journal stays."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop."""
        self.stop()
