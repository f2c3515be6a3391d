"""One embedded press run in a private folder: `pressrun up` as an operator starts it, and questions to its ledger.

It runs in a process of its own, so that what is measured is the product and not the measuring. Nothing of the caller's
environment named PRESSRUN_… reaches it.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from benchmarks import articles, processes
from pipeline.cli.start import free_port
from pipeline.kit import signatures
from tasks.broker import tied

ROOT = Path(__file__).parents[1]
SOURCE = "newsroom"
SECRET = base64.b64decode("QSBzZWNyZXQgdGhhdCBpcyBvbmx5IGV2ZXIgdXNlZCBoZXJl")
OUTLETS = 14
"""Four feeds, two mirrors, eight networks: rows each article has in `deliveries`."""

READY_SECONDS = 90.0
STOP_SECONDS = 30.0

CONFIG = """
data = "data"
[server]
host = "127.0.0.1"
port = @PORT@
[sources.newsroom]
site = "bench"
secrets = ["file:secret"]
[sites.bench]
title = "The Bench Courier"
home_url = "https://www.example.org/"
language = "en"
publisher = "The Bench Courier"
tag_host = "example.org"
tag_date = "2026-01-01"
sitemaps = false
[sites.bench.feeds.all]
title = "Everything"
formats = ["rss", "atom", "json"]
[sites.bench.feeds.world]
title = "World"
formats = ["rss", "atom", "json"]
sections = ["News"]
[sites.bench.feeds.culture]
title = "Culture"
formats = ["rss", "atom", "json"]
sections = ["Culture"]
[sites.bench.feeds.science]
title = "Science"
formats = ["rss", "atom", "json"]
sections = ["Science"]
[sites.bench.mirrors.one]
[sites.bench.mirrors.two]
seo = "noindex"
[sites.bench.networks.x]
[sites.bench.networks.facebook]
[sites.bench.networks.linkedin]
[sites.bench.networks.telegram]
[sites.bench.networks.mastodon]
[sites.bench.networks.bluesky]
[sites.bench.networks.whatsapp]
[sites.bench.networks.email]
"""


class StackError(RuntimeError):
    """The press run did not do what a measure needs; the message says what, and shows its log."""


@dataclass
class Stack:
    """A press run in a folder of its own. A context manager: on the way out it is stopped and the folder removed."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="pressrun-bench-")))
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        """Write the configuration; nothing runs yet, so an archive may be put in."""
        self.port = free_port(0)
        self.data.mkdir(parents=True)
        secret = self.folder / "secret"
        secret.touch(mode=0o600)
        secret.write_text(signatures.new_secret(SECRET))
        self.config.write_text(CONFIG.replace("@PORT@", str(self.port)))

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.folder / "pressrun.toml"

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    @property
    def database(self) -> Path:
        """The ledger's file."""
        return self.data / "ledger.sqlite"

    @property
    def pid(self) -> int:
        """The supervisor's process id. Raises StackError while it does not run."""
        if self.process is None or self.process.poll() is not None:
            raise StackError(self._account("it does not run"))
        return self.process.pid

    def __enter__(self) -> Self:
        """Start it and wait until it is ready."""
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it and remove its folder."""
        self.stop()

    def start(self) -> None:
        """Start it. Raises StackError when it is not ready within 90 s."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PRESSRUN_", "CELERY_", "PROMETHEUS_"))}
        code = "from pipeline.cli import main; main()"
        with (self.folder / "up.log").open("wb") as log:
            self.process = subprocess.Popen(
                tied([sys.executable, "-c", code, "up", "--config", str(self.config)]),
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        ends = time.monotonic() + READY_SECONDS
        while not self._is_ready():
            if self.process.poll() is not None or time.monotonic() > ends:
                raise StackError(self._account("it did not become ready"))
            time.sleep(0.05)

    def stop(self) -> None:
        """End it and remove its folder."""
        self.halt()
        shutil.rmtree(self.folder, ignore_errors=True)

    def halt(self) -> None:
        """End it as an operator does, by SIGTERM; what has not ended after 30 s is killed."""
        process, self.process = self.process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()  # its children are tied to it
                process.wait()

    def _is_ready(self) -> bool:
        with suppress(OSError, http.client.HTTPException):
            return self.get("/readyz")[0] == http.HTTPStatus.OK
        return False

    def _account(self, what: str) -> str:
        logs = [self.folder / "up.log", *sorted((self.data / "logs").glob("*.log"))]
        tails = [f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}" for log in logs if log.exists()]
        return "\n".join([f"the measured press run: {what}", *tails])

    def get(self, path: str) -> tuple[int, bytes]:
        """(status, body) of one request on a connection of its own."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def post(self, connection: http.client.HTTPConnection, event: dict[str, Any], name: str) -> None:
        """Sign and post one event on a kept connection. Raises StackError unless it is accepted."""
        body = json.dumps(event, ensure_ascii=False).encode()
        connection.request("POST", f"/webhooks/{SOURCE}", body, signed(body, name))
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != http.HTTPStatus.ACCEPTED:
            raise StackError(self._account(f"{name} was answered {answer.status} {said[:300]!r}"))

    def publish(self, numbers: range, prefix: str, minutes: float = 1.0) -> None:
        """Post these articles one after the other, published over the minutes before now."""
        now = datetime.now(UTC)
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            for number in numbers:
                when = articles.minutes_before(now, number - numbers.start, len(numbers), minutes)
                self.post(connection, articles.event(number, when, prefix), articles.cms_id(number, prefix))

    def ledger(self) -> sqlite3.Connection:
        """A connection that can only read; close it."""
        return sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, isolation_level=None, timeout=5)

    def wait_until_settled(self, seconds: float) -> None:
        """Return once no event waits and every delivery is settled or skipped. Raises StackError after `seconds`."""
        ends = time.monotonic() + seconds
        with closing(self.ledger()) as ledger:
            while any(open_work(ledger)):
                if time.monotonic() > ends:
                    raise StackError(self._account(f"not settled after {seconds:.0f} s: (events, deliveries) {open_work(ledger)}"))
                _ = self.pid
                time.sleep(0.02)
            if refused := ledger.execute("SELECT count(*) FROM events WHERE state = 'rejected'").fetchone()[0]:
                raise StackError(self._account(f"{refused} events were rejected"))

    def cpu_seconds(self) -> float:
        """CPU time of the whole stack so far."""
        return processes.cpu_seconds(self.pid)


def open_work(ledger: sqlite3.Connection) -> tuple[int, int]:
    """(waiting events, deliveries neither settled nor skipped); both from partial indexes, so asking is cheap."""
    events = ledger.execute("SELECT count(*) FROM events WHERE state = 'waiting'").fetchone()[0]
    rows = ledger.execute("SELECT count(*) FROM deliveries WHERE state NOT IN ('settled', 'skipped')").fetchone()[0]
    return events, rows


def signed(body: bytes, name: str) -> dict[str, str]:
    """The headers of a webhook of that id, signed now (Standard Webhooks)."""
    stamp = int(time.time())
    return {
        "content-type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": str(stamp),
        "webhook-signature": signatures.sign(SECRET, name, stamp, body),
    }
