"""What the press run is held against, taken in the same run: bare Celery messages, and a pipeline of one task per output.

Both use the same kind of broker, the same Celery settings and transport, and a prefork worker of two processes.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import articles, naive, processes
from benchmarks.measuring import load
from benchmarks.stack import CONFIG, ROOT, SECRET, StackError
from pipeline.kit import signatures
from tasks.broker import EmbeddedBroker, tied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from celery import Celery

    from benchmarks.measuring import Sizes

WORKER = ("-m", "celery", "-A", "benchmarks.floor_app:app", "--quiet", "worker", "--without-gossip", "--without-mingle", "-O", "fair")
POOL = ("-l", "WARNING", "-n", "floor@%h", "-P", "prefork", "-c", "2", "-Q", "floor")
OUTPUTS = 16
"""Of one article: two feeds in three formats, two pages, eight shares."""

HELD = 50
LOOK = 0.005
PATIENCE = 240.0


@dataclass(frozen=True, slots=True)
class Floors:
    """Messages a second that do nothing (sent; sent and executed), and the naive pipeline's articles a second.

    naive_cpu   milliseconds of worker and broker an article
    """

    messages: int
    sent_per_second: float
    executed_per_second: float
    naive_articles: int
    naive_per_second: float
    naive_cpu: float
    load: float


def measure(sizes: Sizes) -> Floors:
    """Both floors, one after the other, on one worker. Raises StackError when it does not come up or to an end."""
    began = load()
    with _room() as room:
        sent, executed = _messages(room, sizes.messages)
        per_second, cpu = _naive(room, sizes.naive)
    return Floors(sizes.messages, sent, executed, sizes.naive, per_second, cpu, began)


@dataclass(frozen=True, slots=True)
class _Room:
    """What a floor works with; `pids` are the roots of the worker and the broker."""

    folder: Path
    app: Celery
    pids: tuple[int, ...]

    def cpu_seconds(self) -> float:
        """CPU time of worker and broker so far."""
        return sum(processes.cpu_seconds(pid) for pid in self.pids)


def _messages(room: _Room, count: int) -> tuple[float, float]:
    began = time.perf_counter()
    with room.app.producer_or_acquire() as producer:
        for _ in range(count):
            room.app.send_task("floor.noop", queue="floor", producer=producer, ignore_result=True, retry=False)
        sent = time.perf_counter() - began
        _mark(room.folder, room.app, "executed")
    return count / sent, count / (time.perf_counter() - began)


def _naive(room: _Room, count: int) -> tuple[float, float]:
    """(articles a second, CPU milliseconds an article) until every output is made.

    The site holds fifty articles, so a feed has its usual window from the start; events are stored before the clock starts.
    """
    for event in _events(room.folder, HELD, "held", 60.0):
        naive.publish(room.folder, event)
    ids = _events(room.folder, count, "naive", 1.0)
    cpu, began = room.cpu_seconds(), time.perf_counter()
    for event in ids:
        room.app.send_task("naive.publish", args=[event], queue="floor", ignore_result=True, retry=False)
    _wait(lambda: naive.counts(room.folder) == (HELD + count, OUTPUTS * count), room.folder)
    return count / (time.perf_counter() - began), 1000 * (room.cpu_seconds() - cpu) / count


def _events(folder: Path, count: int, prefix: str, minutes: float) -> list[int]:
    """Row ids of so many events, stored as received."""
    now, ids = datetime.now(UTC), []
    for number in range(count):
        event = articles.event(number, articles.minutes_before(now, number, count, minutes), prefix)
        ids.append(naive.add_event(folder, number, json.dumps(event, ensure_ascii=False)))
    return ids


def _mark(folder: Path, app: Celery, name: str) -> None:
    app.send_task("floor.mark", args=[name], queue="floor", ignore_result=True, retry=False)
    _wait((folder / name).exists, folder)


def _wait(done: Callable[[], bool], folder: Path) -> None:
    ends = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > ends:
            message = f"the floor's worker did not finish: {(folder / 'worker.log').read_text(errors='replace')[-2000:]}"
            raise StackError(message)
        time.sleep(LOOK)


@contextmanager
def _room() -> Iterator[_Room]:
    """A broker, a worker that has executed something, and the app to send with; all ended and removed on the way out."""
    folder = Path(tempfile.mkdtemp(prefix="pressrun-floor-"))
    try:
        _furnish(folder)
        with EmbeddedBroker(folder) as broker:
            settings = {"BENCH_BROKER": broker.url, "BENCH_FOLDER": str(folder)}
            with _worker(folder, settings) as pid, _app(settings) as app:
                _mark(folder, app, "up")
                yield _Room(folder, app, (pid, broker.pid or pid))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _furnish(folder: Path) -> None:
    secret = folder / "secret"
    secret.touch(mode=0o600)
    secret.write_text(signatures.new_secret(SECRET))
    (folder / "pressrun.toml").write_text(CONFIG.replace("@PORT@", "8499"))  # never opened: only pages and shares name it
    naive.create(folder)


@contextmanager
def _worker(folder: Path, settings: dict[str, str]) -> Iterator[int]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PRESSRUN_", "CELERY_", "PROMETHEUS_"))}
    with (folder / "worker.log").open("wb") as log:
        words = tied([sys.executable, *WORKER, *POOL])
        process = subprocess.Popen(words, cwd=ROOT, env=environment | settings, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _app(settings: dict[str, str]) -> Iterator[Celery]:
    """The worker's own app, on this side: it reads the same two variables when it is first used."""
    os.environ.update(settings)
    module: Any = importlib.import_module("benchmarks.floor_app")
    app: Celery = module.app
    try:
        yield app
    finally:
        app.close()
        for name in settings:
            del os.environ[name]
