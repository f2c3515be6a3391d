"""The compose file's services as processes of this machine, for tests: no Docker, and nothing but what the files say.

Commands, secrets, configuration and health checks are taken out of docker-compose.yml and deploy/ as they stand;
only folders, host names and ports are those of the test.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pipeline import accept
from pipeline.context import open_context, register
from pipeline.kit import signatures
from pipeline.kit.clock import rfc3339
from pipeline.ledger import Ledger, events, views
from tasks import broker
from tests.conftest import article

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
VARIABLE = re.compile(r"(?<!\$)\$\{([A-Z_]+)(?::-([^}]*))?\}")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]
WORKERS = {name: service for name, service in SERVICES.items() if name.startswith("worker-")}


def filled(text: str) -> str:
    """What Compose makes of a text when no variable is set."""
    return VARIABLE.sub(lambda match: match[2] or "", text).replace("$$", "$")


def words(service: dict[str, Any]) -> list[str]:
    """Entry point and command; the words of the script where a shell runs it."""
    listed = [filled(word) for word in [*service.get("entrypoint", []), *service.get("command", [])]]
    return shlex.split(listed[2]) if listed[:2] == ["sh", "-c"] else listed


def free_port() -> int:
    """A port nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """(status, headers in lower case, body) of one request to this machine; status 0 where nobody answers."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    except OSError:
        return 0, {}, b""
    finally:
        connection.close()


def until(true: Callable[[], object], seconds: float, what: Callable[[], str]) -> None:
    """Wait for something. Fails with `what` when it does not come."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)


@dataclass
class Deployment:
    """The compose file's services as processes of this machine, in a folder."""

    folder: Path
    database: str
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in ("valkey", "web", "flower")})
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def prepare(self) -> None:
        """Make the secrets as deploy/README.md does, take deploy/pressrun.toml, and put programs where a container has them."""
        script = re.search(r"```sh\n(\(\n.*?\n\))\n```", (DEPLOY / "README.md").read_text(encoding="utf-8"), re.DOTALL)
        assert script
        subprocess.run(["sh", "-euc", script[1]], cwd=self.folder, check=True)
        secrets = self.folder / "deploy" / "secrets"
        assert {file.name for file in secrets.iterdir()} == set(yaml.safe_load(COMPOSE)["secrets"])
        assert (
            secrets / "database_url"
        ).read_text() == f"postgresql+psycopg://pressrun:{(secrets / 'postgres_password').read_text()}@postgres:5432/pressrun\n"
        (secrets / "database_url").chmod(0o600)
        (secrets / "database_url").write_text(self.database)
        (secrets / "broker_url").chmod(0o600)
        (secrets / "broker_url").write_text(
            (secrets / "broker_url").read_text().replace("valkey:6379", f"127.0.0.1:{self.ports['valkey']}")
        )
        (self.folder / "pressrun.toml").write_text(self.here((DEPLOY / "pressrun.toml").read_text(encoding="utf-8")))
        for name in ("data", "tmp", "bin"):
            (self.folder / name).mkdir()
        (self.folder / "bin" / "valkey-server").symlink_to(broker.find_server())
        (self.folder / "bin" / "pressrun").write_text(
            f"#!/bin/sh\nexec {sys.executable} -c 'from pipeline.cli import main; main()' \"$@\"\n"
        )
        (self.folder / "bin" / "pressrun").chmod(0o755)

    def here(self, text: str) -> str:
        """A text of a container with the places of this test."""
        places = {"/run/secrets": "deploy/secrets", "/tmp/auth.conf": "tmp/auth.conf", "/etc/pressrun": ".", "/data": "data"}
        text = re.sub(r"(?<![\w/.-])(/run/secrets|/tmp/auth\.conf|/etc/pressrun|/data)\b", lambda m: str(self.folder / places[m[1]]), text)
        text = text.replace(" --dir ", f" --port {self.ports['valkey']} --bind 127.0.0.1 --dir ")
        return (
            text.replace("--port=5555", f"--port={self.ports['flower']}")
            .replace("0.0.0.0", "127.0.0.1")
            .replace(":5555/", f":{self.ports['flower']}/")
        )

    def environment(self, service: str) -> dict[str, str]:
        """The variables of the service, and what its image sets."""
        path = f"{self.folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        given = {key: self.here(filled(value)) for key, value in SERVICES[service].get("environment", {}).items()}
        bare = {key: value for key, value in os.environ.items() if not key.startswith(("PRESSRUN_", "COV"))}
        return {**bare, **given, "PATH": path, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "PRESSRUN_PORT": str(self.ports["web"])}

    def command(self, service: str) -> list[str]:
        """The service's command line."""
        listed = [*SERVICES[service].get("entrypoint", []), *SERVICES[service]["command"]]
        return [self.here(filled(word)) for word in listed]

    def start(self, *services: str) -> None:
        """Start services, and leave them running."""
        for name in services:
            with (self.folder / f"{name}.log").open("wb") as log:
                self.running[name] = subprocess.Popen(
                    self.command(name), cwd=self.folder, env=self.environment(name), stdout=log, stderr=log, start_new_session=True
                )

    def run(self, service: str, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a command to its end in the surroundings of a service, as `docker compose exec` does."""
        return subprocess.run(
            command, cwd=self.folder, env=self.environment(service), capture_output=True, text=True, timeout=90, check=False
        )

    def health(self, service: str) -> bool:
        """Run the service's health check."""
        kind, *test = [self.here(filled(word)) for word in SERVICES[service]["healthcheck"]["test"]]
        test = [word.replace(":8400/", f":{self.ports['web']}/") for word in test]
        return self.run(service, test if kind == "CMD" else ["sh", "-c", *test]).returncode == 0

    def log(self, service: str) -> str:
        """What a service said."""
        return (self.folder / f"{service}.log").read_text(errors="replace")

    def stop(self) -> float:
        """Ask everything to stop as Docker does; the seconds it took. What does not is ended, and fails the test."""
        began = time.monotonic()
        late = []
        for name in [n for n in self.running if n != "valkey"] + [n for n in self.running if n == "valkey"]:
            self.running[name].terminate()
            if name != "valkey":
                continue
            for other, process in self.running.items():
                with suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.1, began + 40 - time.monotonic()))
                if process.poll() is None:
                    late.append(other)
                    os.killpg(process.pid, 9)
                    process.wait(5)
        self.running.clear()
        assert not late, f"did not stop within 40 s: {late}"
        return time.monotonic() - began


@contextmanager
def deployment(folder: Path, database: str) -> Iterator[Deployment]:
    """A prepared deployment with its broker up and its tables made."""
    made = Deployment(folder, database)
    made.prepare()
    try:
        made.start("valkey")
        url = (folder / "deploy" / "secrets" / "broker_url").read_text().strip()
        until(lambda: broker.ping(url), 15, lambda: made.log("valkey"))
        done = made.run("migrate", made.command("migrate"))
        assert done.returncode == 0, done.stderr
        yield made
    finally:
        made.stop()


def accept_and_nudge(made: Deployment) -> str:
    """Store an event and send the nudge, as the web process does, from a process of its own."""
    script = f"""
import json, sys
sys.path.insert(0, {str(ROOT)!r})
from tests.support.deploying import store
from tasks.carry import carry
from pipeline.model.run import Nudge, Step
print(store())
carry([Nudge(Step.VALIDATE, ("newsroom",))])
"""
    done = made.run("web", [sys.executable, "-c", script])
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def store() -> str:
    """Store one signed event in the ledger of the configuration found; its id."""
    context = open_context()
    register(context)
    source, now = context.settings.sources[0], context.clock.now()
    body = json.dumps({"type": "article.published", "timestamp": rfc3339(now), "data": article()}).encode()
    stamp = int(now.timestamp())
    signed = signatures.sign(source.secrets[0], "msg_1", stamp, body)
    event = accept.admit(source, {"webhook-id": "msg_1", "webhook-timestamp": str(stamp), "webhook-signature": signed}, body, context)
    with context.ledger.write(durable=True) as tx:
        events.add(tx, [event])
    return event.event_id


def seen(made: Deployment, event: str) -> str:
    """The event's status in the deployment's ledger; "" where it is not known."""
    ledger = Ledger(made.database)
    try:
        with ledger.read() as tx:
            found = views.event(tx, event)
            return str(found["status"]) if found else ""
    finally:
        ledger.close()
