"""A press run with real processes in which every secret is a canary, and the hands to do everything to it that can happen.

What it writes, answers, publishes and shows is gathered in `places`.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from pipeline.cli.start import free_port
from pipeline.context import Context, open_context
from pipeline.kit import secrecy, signatures
from pipeline.kit.clock import rfc3339
from pipeline.ledger import views
from pipeline.settings import ENVIRONMENT
from tests.cli.terminal import environment, pressrun
from tests.conftest import article
from tests.guard import canaries
from tests.guard.databases import everything
from tests.guard.echo_server import EchoServer
from tests.guard.password_broker import PasswordBroker
from tests.support.put_server import PutServer
from tests.support.subscriber import Subscriber

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 90.0
"""Seconds after which waiting is given up: it only bounds."""

_CONFIG = """
data = "data"
database = "env:CANARY_DATABASE"
broker = "file:secrets/broker"
api_token = "env:CANARY_API"
[server]
port = @PORT@
allow_hosts = @HOSTS@
[limits]
circuit_seconds = 1
[hub]
keys = ["file:secrets/hub"]
[retries]
hub = [1]
[sources.newsroom]
site = "demo"
secrets = ["file:secrets/newsroom", "env:CANARY_SECOND"]
[sites.demo]
title = "The Test Courier"
home_url = "https://www.example.org/"
language = "en"
publisher = "The Test Courier"
tag_host = "example.org"
tag_date = "2026-01-01"
[sites.demo.feeds.all]
title = "Everything"
[sites.demo.mirrors.here]
[sites.demo.networks.x]
[sites.demo.networks.email]
"""


@dataclass
class Watched:
    """The run. `sent_signatures` are the valid ones it was given."""

    folder: Path
    broker: PasswordBroker
    context: Context
    secrets: dict[str, str]
    process: subprocess.Popen[bytes]
    reader: Subscriber
    places: dict[str, bytes] = field(default_factory=dict)
    sent_signatures: list[str] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def ask(self, name: str, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> int:
        """One request; its whole answer is a place."""
        connection = http.client.HTTPConnection("127.0.0.1", self.context.settings.server.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            self.places[f"answer {name}"] = canaries.as_bytes(dict(answer.getheaders())) + b"\n" + answer.read()
        finally:
            connection.close()
        self.statuses[name] = answer.status
        return answer.status

    def send(self, kind: str, data: dict[str, Any], key: bytes = canaries.KEY, **more: str) -> int:
        """A signed webhook."""
        body = json.dumps({"type": f"article.{kind}", "timestamp": rfc3339(self.context.clock.now()), "data": data}).encode()
        headers = {**self.signed(body, key), **more}
        return self.ask(f"webhook {next(self._ids)} {kind}", "POST", "/webhooks/newsroom", body, headers)

    def signed(self, body: bytes, key: bytes = canaries.KEY) -> dict[str, str]:
        """The headers of a webhook."""
        webhook_id, stamp = f"msg_{os.getpid()}_{next(self._ids)}", int(time.time())
        signature = signatures.sign(key, webhook_id, stamp, body)
        self.sent_signatures.append(signature.partition(",")[2])
        stamped = {"webhook-id": webhook_id, "webhook-timestamp": str(stamp), "webhook-signature": signature}
        return {"content-type": "application/json", **stamped}

    def until(self, what: Callable[[], object]) -> None:
        """Look again and again until the answer is true."""
        ends = time.monotonic() + PATIENCE
        while not what():
            assert self.process.poll() is None, self.logs()[-3000:]
            assert time.monotonic() < ends, self.logs()[-3000:]
            time.sleep(0.05)

    def states(self, cms_id: str) -> dict[str, str]:
        """Outlet → state."""
        with self.context.ledger.read() as tx:
            found = views.status(tx, views.find_articles(tx, cms_id))
        return {o.outlet: o.state for o in found[0].outlets} if found else {}

    def settled_here(self, cms_id: str) -> bool:
        """Whether the outlets that take anything have an article."""
        states = self.states(cms_id)
        return bool(states) and all(states[f"demo/{o}"] == "settled" for o in ("feed:all", "mirror:here", "mirror:good", "network:x"))

    def log(self, name: str) -> str:
        """What a process wrote."""
        path = self.context.settings.data / "logs" / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def logs(self) -> str:
        """All of it."""
        return "\n".join(self.log(name) for name in ("web", "craft", "reach")) + (self.folder / "up.err").read_text(errors="replace")

    def verb(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """A verb to its end; what it prints is a place."""
        done = pressrun(self.folder, *arguments, seconds=PATIENCE, **{**self.secrets, **more})
        self.places[f"pressrun {' '.join(arguments)} {sorted(more)}"] = (done.stdout + done.stderr).encode()
        return done

    def alone(self, name: str, *module: str, until: bytes, **more: str) -> None:
        """A process of ours beside the run, until it has written these words or ended; what it writes is a place."""
        output = self.folder / f"{name}.out"
        given = {**environment(), **self.secrets, "PRESSRUN_CONFIG": str(self.folder / "pressrun.toml"), **more}
        with output.open("wb") as written:
            process = subprocess.Popen([sys.executable, "-m", *module], cwd=self.folder, env=given, stdout=written, stderr=written)
        ends = time.monotonic() + PATIENCE
        while until not in output.read_bytes() and process.poll() is None and time.monotonic() < ends:
            time.sleep(0.05)
        process.terminate()
        process.wait(30)
        self.places[f"process {name}"] = output.read_bytes()
        assert until in self.places[f"process {name}"], self.places[f"process {name}"]


@contextmanager
def watched_run(folder: Path, postgres: str) -> Iterator[Watched]:
    """A run that is ready, over a PostgreSQL database; on the way out everything it left is in `places`."""
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(secrecy, "_known", set())
        good = stack.enter_context(PutServer(folder / "good", canaries.BEARER))
        echoing = {f"echo{status}": stack.enter_context(EchoServer(status)) for status in (307, 401, 500)}
        reader = stack.enter_context(Subscriber())
        broker = stack.enter_context(PasswordBroker(folder / "broker", canaries.CORES["/broker"] + '/@"s'))
        secrets = _secrets(folder, postgres, broker)
        for name in ENVIRONMENT:
            patch.delenv(name, raising=False)
        for name, value in secrets.items():
            patch.setenv(name, value)
        config = _configured(folder, good, echoing, reader)
        given = {**environment(), **secrets}
        with (folder / "up.out").open("wb") as out, (folder / "up.err").open("wb") as err:
            command = [sys.executable, "-c", "from pipeline.cli import main; main()", "up"]
            process = subprocess.Popen(command, cwd=folder, env=given, stdout=out, stderr=err)
        run = Watched(folder, broker, open_context(config), secrets, process, reader)
        watching = threading.Event()
        commands: set[bytes] = set()
        watcher = threading.Thread(target=_watch_commands, args=(watching, commands))
        watcher.start()
        try:
            run.until(lambda: b"Publish something" in (folder / "up.out").read_bytes())
            yield run
            run.places |= everything(run.context.ledger)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)
            watching.set()
            watcher.join()
            run.context.close()
        run.places["command lines"] = b"\n".join(sorted(commands))
        run.places["published in the broker"] = b"\n".join(broker.heard)
        run.places |= canaries.files_below(folder, without=[config, *(folder / "secrets").iterdir()])


def _secrets(folder: Path, postgres: str, broker: PasswordBroker) -> dict[str, str]:
    """Written where the configuration says: environment variables, and files."""
    (folder / "secrets").mkdir(mode=0o700)
    (folder / "secrets" / "newsroom").write_text(canaries.WEBHOOK_SECRET)
    (folder / "secrets" / "hub").write_text(canaries.HUB_KEY)
    (folder / "secrets" / "broker").write_text(f"redis://:{canaries.BROKER_PASSWORD}@127.0.0.1:{broker.port}/0")
    return {
        "CANARY_DATABASE": postgres.replace("postgres:@", f"postgres:{canaries.DATABASE_PASSWORD}@"),
        "CANARY_API": canaries.API_TOKEN,
        "CANARY_SECOND": canaries.SECOND_SECRET,
        "CANARY_BEARER": canaries.BEARER,
        "CANARY_BASIC": canaries.BASIC,
    }


def _configured(folder: Path, good: PutServer, echoing: dict[str, EchoServer], reader: Subscriber) -> Path:
    hosts = [good.authority, *(server.authority for server in echoing.values()), "127.0.0.1:1", reader.authority]
    text = _CONFIG.replace("@PORT@", str(free_port(0))).replace("@HOSTS@", json.dumps(hosts))
    mirrors = {"good": (good.url, "BEARER"), "deaf": ("http://127.0.0.1:1/", "BEARER")}
    mirrors |= {name: (server.url, "BASIC" if name == "echo401" else "BEARER") for name, server in echoing.items()}
    for name, (url, kind) in mirrors.items():
        text += f'[sites.demo.mirrors.{name}]\nbackend = "http"\ntarget = "{url}"\nbase_url = "{url}"\ntoken = "env:CANARY_{kind}"\n'
    config = folder / "pressrun.toml"
    config.write_text(text)
    return config


def _watch_commands(stop: threading.Event, seen: set[bytes]) -> None:
    """Every command line of this process's descendants, again and again."""
    me = psutil.Process()
    while not stop.wait(0.05):
        for child in me.children(recursive=True):
            try:
                seen.add(Path(f"/proc/{child.pid}/cmdline").read_bytes())
            except OSError:
                continue


def story(name: str, **changes: Any) -> dict[str, Any]:
    """An article with an address of its own."""
    return article(id=name, **{"url": f"https://www.example.org/news/{name}.html", "headline": f"About {name}", **changes})
