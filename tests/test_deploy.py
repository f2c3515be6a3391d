"""The way to run it at scale: what the files promise, and the very commands of the compose file run without Docker."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest
import yaml

from pipeline import settings as settings_file
from pipeline.cli import pressrun
from pipeline.model.run import Step
from tasks import alive, broker
from tests.conftest import EXAMPLES, settings_in
from tests.support.deploying import (
    COMPOSE,
    DEPLOY,
    ROOT,
    SERVICES,
    VARIABLE,
    WORKERS,
    accept_and_nudge,
    deployment,
    filled,
    free_port,
    get,
    seen,
    until,
    words,
)

if TYPE_CHECKING:
    from pathlib import Path

    from click import Command

    from tests.support.deploying import Deployment

OURS = {name: service for name, service in SERVICES.items() if service.get("user") == "10001:10001" and name != "caddy"}
THREADS, FORKS = {Step.MIRRORS.value, Step.SOCIAL.value, Step.HUB.value}, {Step.VALIDATE.value, Step.FEEDS.value, Step.UPKEEP.value}


def env_example() -> dict[str, str]:
    """The documented variables and their values."""
    lines = (DEPLOY / ".env.example").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_the_compose_file_is_one() -> None:
    """It follows the Compose specification, as bundled with check-jsonschema; nothing is fetched."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(ROOT / "docker-compose.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_variable_is_documented_with_its_default() -> None:
    """`.env.example` has each `${VAR}` once, with the value that holds without it, and nothing besides."""
    used = {match[1]: match[2] for match in VARIABLE.finditer(COMPOSE)}
    assert used == env_example()
    assert all(match[2] for match in VARIABLE.finditer(COMPOSE)), "every variable has a default: `docker compose up` needs no .env"


def test_every_pressrun_variable_is_understood() -> None:
    """What looks like a setting of ours is one that the settings know."""
    known = {*settings_file.ENVIRONMENT, "PRESSRUN_CONFIG"}
    image = set(re.findall(r"PRESSRUN_[A-Z_]+(?==)", (ROOT / "Dockerfile").read_text(encoding="utf-8")))
    given = {key for service in SERVICES.values() for key in service.get("environment", {}) if key.startswith("PRESSRUN_")}
    toml = set(re.findall(r"env:(PRESSRUN_[A-Z_]+)", (DEPLOY / "pressrun.toml").read_text(encoding="utf-8")))
    assert given
    assert given | image <= known
    assert toml <= given


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_closed_and_comes_back(name: str) -> None:
    """No root, no capability, no writable image, no newest-of-the-day image; restarted, and given time to stop."""
    service = SERVICES[name]
    assert service["user"] not in {"root", "0", "0:0", ""}
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == ("no" if name == "migrate" else "always")
    assert service["stop_grace_period"] == "40s"
    tag = filled(service["image"]).rpartition(":")[2]
    assert re.search(r"\d", tag), f"{service['image']} floats"
    assert "/tmp" in service["tmpfs"]
    assert all(port.startswith(("${BIND_ADDRESS:-127.0.0.1}:", "127.0.0.1:")) for port in service.get("ports", []))


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_names_only_what_there_is(name: str) -> None:
    """Volumes, networks, secrets, configs and other services are declared; who waits for health waits for a check."""
    whole, service = yaml.safe_load(COMPOSE), SERVICES[name]
    assert {volume.split(":")[0] for volume in service.get("volumes", [])} <= set(whole["volumes"])
    assert set(service["networks"]) <= set(whole["networks"])
    assert set(service.get("secrets", [])) <= set(whole["secrets"])
    assert {config["source"] for config in service.get("configs", [])} <= set(whole["configs"])
    for other, how in service.get("depends_on", {}).items():
        assert how["condition"] in {"service_healthy", "service_completed_successfully"}
        assert ("healthcheck" in SERVICES[other]) == (how["condition"] == "service_healthy")
    used = re.findall(r"/run/secrets/([a-z_]+)", json.dumps(service) + (DEPLOY / "pressrun.toml").read_text() * (name in OURS))
    assert set(used) <= set(service.get("secrets", [])), "a secret is read that is not mounted"


def test_everything_waits_for_the_tables() -> None:
    """Only what holds data starts before `migrate` has gone through; only `migrate` has no health check."""
    for name in {"web", "flower", *WORKERS}:
        assert SERVICES[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert {name for name, service in SERVICES.items() if "healthcheck" not in service} == {"migrate"}


def test_the_workers_take_every_queue_once() -> None:
    """A pool of workers a queue: none is forgotten, none is read by two kinds, and what waits has threads."""
    queues = [(name, words(service)) for name, service in WORKERS.items()]
    assert sorted(option(line, "-Q") for _, line in queues) == sorted(step.value for step in Step)
    for name, line in queues:
        queue = option(line, "-Q")
        assert name == f"worker-{queue}"
        assert option(line, "-n") == f"{queue}@%h"
        assert (queue in THREADS, queue in FORKS) == (option(line, "-P") == "threads", option(line, "-P") == "prefork")
        assert SERVICES[name]["healthcheck"]["test"] == ["CMD", "python", "-m", "tasks.alive", queue]


def option(line: list[str], name: str) -> str:
    """The value after an option."""
    return line[line.index(name) + 1]


@pytest.mark.parametrize("name", OURS)
def test_every_command_is_a_real_one(name: str) -> None:
    """Celery and pressrun know the verb and each option; a module can be found."""
    line = [word for word in words(OURS[name]) if word != "exec" and not word.startswith("FLOWER_")]
    if line[0] == "python":
        assert line[1] == "-m"
        assert importlib.util.find_spec(line[2]) is not None
    elif line[0] == "pressrun":
        _parse(pressrun, line[1:])
    else:
        from celery.bin.celery import celery

        assert line[:3] == ["celery", "-A", "tasks"]
        _parse(celery, line[1:] if "flower" not in line else line[1 : line.index("flower") + 1])
    for test in (OURS[name].get("healthcheck", {}).get("test", []),):
        if "-m" in test:
            assert importlib.util.find_spec(test[test.index("-m") + 1]) is not None


def _parse(command: Command, arguments: list[str]) -> None:
    """Let click read a command line without running it. Raises click.UsageError for what it does not know."""
    import click

    context = command.make_context("x", list(arguments), resilient_parsing=False)
    while isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        if not rest:
            return
        _, found, rest = command.resolve_command(context, rest)
        assert found is not None
        if found.name == "worker":  # its callbacks would start an app; the names of the options are what is asked
            known = {name for parameter in found.params for name in parameter.opts}
            assert {word for word in rest if re.match(r"--?[a-zA-Z]", word)} <= known
            return
        command, context = found, found.make_context(found.name, rest, parent=context)


def test_the_dockerfile_copies_what_there_is() -> None:
    """Each source exists and reaches the builder; each stage that is built or copied from exists; images have a version."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    stages = re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE)
    allowed = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE):
        if source := re.match(r"--from=(\S+)", line):
            assert source[1] in stages
            continue
        for name in line.split()[:-1]:
            assert (ROOT / name).exists(), name
            assert any(name == entry or name.startswith(entry + "/") for entry in allowed), f"{name} is ignored"
    assert {service["build"]["target"] for service in SERVICES.values() if "build" in service} <= set(stages)
    assert all(re.search(r"\d", default) for default in re.findall(r"^ARG \w+=(\S+)$", text, re.MULTILINE))
    assert re.findall(r"^USER (\S+)$", text, re.MULTILINE) == ["10001:10001", "10001:10001"]


def test_the_image_holds_only_what_is_locked() -> None:
    """Whatever pip may download is named with a hash; everything else is installed from what was downloaded."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    calls = [
        call.strip() for line in re.findall(r"^RUN (.+)$", text, re.MULTILINE) for call in line.split("&&") if re.match(r"\s*pip ", call)
    ]
    assert len(calls) >= 5
    assert all("--require-hashes" in call or ("--no-index" in call and "--no-deps" in call) for call in calls)
    locks = {
        name: dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements" / name).read_text(), re.MULTILINE))
        for name in ("flower.lock", "dev.lock")
    }
    assert locks["flower.lock"]["flower"]
    assert locks["flower.lock"].items() <= locks["dev.lock"].items(), "Flower runs on other versions than the tests"


def test_the_origin_and_the_mirrors_are_shared_by_who_needs_them() -> None:
    """Feeds are written by feeds, pages by mirrors; upkeep tidies up and compares in both; web and Caddy read them, the hub only feeds."""
    seen = {(name, *volume.split(":")[::2]) for name, s in SERVICES.items() for volume in s.get("volumes", []) if volume[0] in "om"}
    writers = {(name, volume) for name, volume, *mode in seen if mode != ["ro"] and name != "migrate"}
    readers = {(name, volume) for name, volume, *mode in seen if mode == ["ro"]}
    assert writers == {("worker-feeds", "origin"), ("worker-upkeep", "origin"), ("worker-mirrors", "mirrors"), ("worker-upkeep", "mirrors")}
    assert readers == {("worker-hub", "origin"), *((name, volume) for name in ("web", "caddy") for volume in ("origin", "mirrors"))}


def test_a_worker_of_the_compose_file_runs_on_a_plain_server_with_a_password(tmp_path: Path) -> None:
    """Over TCP, with the secrets of the README: the worker does its work, and the health check tells living from dead."""
    with deployment(tmp_path, f"sqlite:///{tmp_path / 'ledger.sqlite'}") as made:
        url = (tmp_path / "deploy" / "secrets" / "broker_url").read_text().strip()
        assert not broker.ping(re.sub(r"//:[^@]+@", "//:wrong@", url)), "the server takes any password"
        assert (tmp_path / "deploy" / "secrets" / "valkey_password").read_text() not in " ".join(made.command("valkey"))
        made.start("worker-validate")
        event = accept_and_nudge(made)
        until(lambda: seen(made, event) == "applied", 30, lambda: made.log("worker-validate"))
        node = f"@{socket.gethostname()}"
        with ThreadPoolExecutor(1) as aside:
            other = aside.submit(broker.hears_heartbeat, url, "feeds" + node, 2.5)
            assert made.health("worker-validate"), "a living worker is not seen"
            assert not other.result(), "a worker that was never started is heard"
        made.running["worker-validate"].send_signal(signal.SIGSTOP)
        assert not broker.hears_heartbeat(url, "validate" + node, 2.5), "a worker that does nothing is heard"
        made.running["worker-validate"].send_signal(signal.SIGCONT)


def test_the_health_check_says_why_it_cannot_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """1 and a sentence where the broker does not answer, 2 for a wrong use or no configuration."""
    settings_in(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRESSRUN_BROKER", f"redis://:secret@127.0.0.1:{free_port()}/0")
    assert alive.main(["feeds"]) == 1
    assert alive.main([]) == 2
    monkeypatch.setenv("PRESSRUN_BROKER", "carrier-pigeon")
    assert alive.main(["feeds"]) == 2
    monkeypatch.chdir("/")
    assert alive.main(["feeds"]) == 2
    said = capsys.readouterr().err
    assert all(sentence in said for sentence in ("does not answer", "usage", "broker:", "no pressrun.toml"))
    assert "secret@" not in said


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(os.environ.get("PRESSRUN_TEST_BOOTSTRAP") != "1", reason="starts eight services; PRESSRUN_TEST_BOOTSTRAP=1 runs it")
def test_the_whole_deployment_settles_an_article(tmp_path: Path, postgres: str) -> None:
    """PostgreSQL, a server with a password, web, five workers, Flower: each healthy, and a signed webhook reaches every outlet."""
    with deployment(tmp_path, postgres) as made:
        names = ["web", *WORKERS, "flower"]
        made.start(*names)
        for name in names:
            until(partial(made.health, name), 60, partial(made.log, name))
        sent = made.run("web", ["pressrun", "publish", str(EXAMPLES / "01-anatomy.json"), "--wait", "--json"])
        outlets = {o["outlet"]: o["state"] for a in json.loads(sent.stdout)["articles"] for o in a["outlets"]}
        assert sent.returncode == 0, outlets
        assert set(outlets.values()) <= {"settled", "skipped"}
        assert get(made.ports["web"], "/readyz")[0] == 200
        assert get(made.ports["web"], "/demo/feeds/all.json")[0] == 200
        _check_flower(made)
        assert made.stop() < 40


def _check_flower(made: Deployment) -> None:
    port = made.ports["flower"]
    login = b64encode((made.folder / "deploy" / "secrets" / "flower").read_bytes().strip()).decode()
    assert get(port, "/healthcheck")[2] == b"OK"
    assert get(port, "/api/workers")[0] == 401

    def workers() -> set[str]:
        status, _, body = get(port, "/api/workers?refresh=1", Authorization=f"Basic {login}")
        return {name.partition("@")[0] for name in json.loads(body)} if status == 200 else set()

    until(lambda: workers() == {step.value for step in Step}, 30, lambda: f"Flower sees {workers()}: {made.log('flower')}")
