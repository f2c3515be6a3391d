"""The embedded profile: broker, web and two workers as children of one process, started, watched and stopped together.

`craft` forks (validate, feeds, upkeep: CPU and hard time limits); `reach` has threads (mirrors, social, hub: waiting),
so a hung mirror never stops a feed.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pipeline.model.errors import Unavailable
from tasks.embedded import EmbeddedBroker, tied

if TYPE_CHECKING:
    import threading
    from typing import IO

READY_SECONDS = 60.0
GRACE_SECONDS = 10.0
KEPT_LOG = 8 * 1024 * 1024  # bytes of a former run's log
WORKER = ("-m", "celery", "-A", "tasks", "--quiet", "worker", "--without-gossip", "--without-mingle", "-O", "fair", "-l", "WARNING")
PROCESSORS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def craft_processes(processors: int) -> int:
    """Pool processes of `craft`.

    Where there are two processors `reach` keeps one busy: a second process would only take turns with the first, render
    what that one has rendered, and wait for the same lock of the ledger (decision 13).
    """
    return 1 if processors <= 2 else 2  # noqa: PLR2004


COMMANDS = {
    "web": ("-m", "pipeline.web"),
    "craft": (*WORKER, "-n", "craft@%h", "-P", "prefork", "-c", str(craft_processes(PROCESSORS)), "-Q", "validate,feeds,upkeep"),
    "reach": (*WORKER, "-n", "reach@%h", "-P", "threads", "-c", "8", "-Q", "mirrors,social,hub"),
}


@dataclass
class Child:
    """One process of the embedded profile."""

    name: str
    process: subprocess.Popen[bytes]
    started: float
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """What the supervisor must know of the configuration; `server` is the embedded broker's binary, "" for a broker elsewhere."""

    config: Path
    data: Path
    host: str
    port: int
    server: str

    @property
    def url(self) -> str:
        """Where the web process is reached from this machine."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::", ""} else self.host  # noqa: S104 - a comparison
        return f"http://{host}:{self.port}/"


@dataclass
class Supervisor:
    """Everything `pressrun up` runs, for one data folder. A context manager: on the way out all children are ended.

    It imports neither database nor broker library: it lives as long as the newsroom does and does nothing but watch.
    """

    facts: Facts
    broker: EmbeddedBroker | None = None
    children: dict[str, Child] = field(default_factory=dict)
    _lock: IO[str] | None = None

    def __enter__(self) -> Self:
        """Start everything. Raises Unavailable when another instance has the data folder, or something does not come up."""
        self._take_folder()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything."""
        self.stop()

    @property
    def url(self) -> str:
        """Where the web process is reached from this machine."""
        return self.facts.url

    def _take_folder(self) -> None:
        data = self.facts.data
        try:
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = (data / "pressrun.lock").open("a+", encoding="utf-8")
        except OSError as error:
            message = f"the data folder {data} cannot be used: {error.strerror or error}"
            raise Unavailable(message) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.seek(0)
            who = self._lock.read().strip() or "another process"
            message = f"pressrun is already running on {data} ({who}). Stop it first, or use another data folder (PRESSRUN_DATA)."
            raise Unavailable(message) from error
        self._lock.truncate(0)
        self._lock.write(f"process {os.getpid()}")
        self._lock.flush()

    def _start(self) -> None:
        data = self.facts.data
        self._check_port()
        shutil.rmtree(data / "metrics", ignore_errors=True)
        (data / "metrics").mkdir(parents=True)
        (data / "logs").mkdir(parents=True, exist_ok=True)
        for log in (*(data / "logs").glob("*.log"), log_of(data, "broker")):
            with suppress(OSError):  # a full disk, say: no log is worth not starting
                put_aside(log)
        if self.facts.server:
            self.broker = EmbeddedBroker(data, Path(self.facts.server))
            self.broker.start()
        for name in COMMANDS:
            self._run(name)

    def _check_port(self) -> None:
        """Whoever answers at our address must be ours. Raises Unavailable when the port is taken."""
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((self.facts.host, self.facts.port))
            except OSError as error:
                place = f"{self.facts.host}:{self.facts.port}"
                message = f"{place} is not to be had ({error.strerror}): stop who has it, or set PRESSRUN_PORT."
                raise Unavailable(message) from error

    def _run(self, name: str) -> None:
        data = self.facts.data
        environment = {
            **os.environ,
            "PRESSRUN_CONFIG": str(self.facts.config.resolve()),
            "PROMETHEUS_MULTIPROC_DIR": str(data / "metrics"),
            # glibc gives each thread an arena of its own, and keeps freed documents for later, unless told otherwise.
            "MALLOC_ARENA_MAX": "2",
            "MALLOC_MMAP_THRESHOLD_": "131072",
            "MALLOC_TRIM_THRESHOLD_": "131072",
            "PYTHONUNBUFFERED": "1",
        }
        with log_of(data, name).open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
                tied([sys.executable, *COMMANDS[name]]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        former = self.children.get(name)
        self.children[name] = Child(name, process, time.monotonic(), former.restarts + 1 if former else 0)

    def wait_until_ready(self, stop: threading.Event | None = None) -> bool:
        """True once webhooks are taken and a worker was seen; False as soon as `stop` is set.

        Raises Unavailable after a minute, or when a child gives up.
        """
        deadline = time.monotonic() + READY_SECONDS
        answer = "nothing answered yet"
        while time.monotonic() < deadline:
            if stop is not None and stop.is_set():
                return False
            self.look()
            if any(child.restarts > 2 for child in self.children.values()):  # noqa: PLR2004 - twice may be bad luck
                break
            status, answer = self._ask_ready()
            if status == HTTPStatus.OK:
                return stop is None or not stop.is_set()
            time.sleep(0.05)
        logs = self.facts.data / "logs"
        message = f"pressrun did not become ready: {answer}. The logs are in {logs}."
        raise Unavailable(message)

    def _ask_ready(self) -> tuple[int, str]:
        """(status, what it says) of our own web process; (0, …) while it does not answer."""
        connection = HTTPConnection(self.url.split("/")[2], timeout=2)
        try:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            return answer.status, str(json.loads(answer.read(10_000)).get("detail", ""))
        except (OSError, HTTPException, ValueError) as error:
            return 0, type(error).__name__
        finally:
            connection.close()

    def look(self) -> list[str]:
        """Start again whatever died; answers what did. A child that dies at once is given a second's rest."""
        died = []
        if self.broker is not None and self.broker.pid is None:
            died.append("broker")
            self.broker.start()
        for name, child in list(self.children.items()):
            if child.process.poll() is not None and time.monotonic() - child.started > 1:
                died.append(name)
                self._run(name)
        return died

    def stop(self) -> None:
        """Web first, so that nothing new comes in; then the workers; the broker last."""
        for names in (["web"], ["craft", "reach"]):
            living = [self.children[n].process for n in names if n in self.children and self.children[n].process.poll() is None]
            for process in living:
                process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + GRACE_SECONDS
            for process in living:
                try:
                    process.wait(max(0.1, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    _end_group(process)
        if self.broker is not None:
            self.broker.stop()
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def log_of(data: Path, name: str) -> Path:
    """Where a child writes: the broker beside its own folder, ours in `logs/`."""
    return data / "broker.log" if name == "broker" else data / "logs" / f"{name}.log"


def put_aside(log: Path) -> None:
    """The log of the run before becomes `….log.1`, of a long one its last lines; the one before that goes."""
    if not log.is_file() or not log.stat().st_size:
        return
    former = log.with_name(f"{log.name}.1")
    if log.stat().st_size <= KEPT_LOG:
        log.replace(former)
        return
    with log.open("rb") as text:
        text.seek(-KEPT_LOG, os.SEEK_END)
        text.readline()
        former.write_bytes(text.read())
    log.unlink()


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """A child that does not stop is ended with its own children: it leads a session of its own."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(5)
