"""What subscribers' polls cost: GETs a second of one feed, answered by the app's one web process, beside nginx serving the same file.

wrk asks on sixteen kept connections from one thread of its own; the press run is otherwise at rest. nginx is as Debian starts it,
a worker for each processor, without a log. A 200 of the whole document, a 200 of its gzip twin, and a 304 to who has its tag.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import subprocess
import tempfile
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks import processes
from benchmarks.measuring import load
from benchmarks.stack import READY_SECONDS, STOP_SECONDS, Stack, StackError
from pipeline.cli.start import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.measuring import Sizes

CONNECTIONS = 16
FEED = "/bench/feeds/all.rss"
WARM_SECONDS = 1
ROUNDS = 5
"""In turn, so that both meet the same machine: of each the median is told, and of their ratios."""

PROGRAMS = ("wrk", "nginx")
KINDS = {"whole": (200, {"Accept-Encoding": "identity"}), "gzip": (200, {"Accept-Encoding": "gzip"}), "unchanged": (304, {})}
"""What is asked for: the status that must come, and the headers; a 304 takes the tag that the server gave."""


@dataclass(frozen=True, slots=True)
class Answered:
    """Requests a second, the median of all rounds, and microseconds of the server's CPU a request, over all of them."""

    per_second: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Polls:
    """What was asked for, by kind, of the app and of nginx; `times`: the app's rate by nginx's, the median of the rounds.

    size  bytes of the whole document
    """

    size: int
    app: dict[str, Answered]
    nginx: dict[str, Answered]
    times: dict[str, float]
    load: float


def measure(sizes: Sizes) -> Polls:
    """Both, kind by kind in turn. Raises StackError where wrk or nginx is missing, or an answer is not what it must be."""
    if names := missing():
        message = f"{' and '.join(names)} not found: `apt-get install {' '.join(names)}` brings them"
        raise StackError(message)
    with Stack() as stack:
        stack.publish(range(sizes.held), "polled", 14_400.0)
        stack.wait_until_settled(120)
        file = stack.data / "origin" / FEED.lstrip("/")
        _wait_for_twins(file)
        began = load()
        app, nginx, times = dict[str, Answered](), dict[str, Answered](), dict[str, float]()
        with _nginx(stack.data / "origin") as (port, pid):
            web = next(pid for pid in processes.tree(stack.pid) if processes.name_of(pid) == "web")
            for kind in KINDS:
                rounds = [[_round(*server, kind, sizes.poll_seconds) for server in ((stack.port, web), (port, pid))] for _ in range(ROUNDS)]
                app[kind], nginx[kind] = (_together(found) for found in zip(*rounds, strict=True))
                times[kind] = median(ours[1] / theirs[1] for ours, theirs in rounds)
        return Polls(file.stat().st_size, app, nginx, times, began)


def _together(rounds: Sequence[tuple[int, float, float]]) -> Answered:
    cpu = 1e6 * sum(spent for _, _, spent in rounds) / sum(count for count, _, _ in rounds)
    return Answered(median(rate for _, rate, _ in rounds), cpu)


def missing() -> list[str]:
    """The programs that are not installed here."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


def _wait_for_twins(file: Path) -> None:
    ends = time.monotonic() + READY_SECONDS
    while not file.with_name(file.name + ".br").exists():
        if time.monotonic() > ends:
            raise StackError("the feed has no compressed twins")
        time.sleep(0.1)


def _round(port: int, pid: int, kind: str, seconds: int) -> tuple[int, float, float]:
    """(requests, requests a second, CPU seconds of the server)."""
    expected, headers = KINDS[kind]
    if expected == http.client.NOT_MODIFIED:
        headers = {"If-None-Match": _ask(port, {})[1]}
    if (status := _ask(port, headers)[0]) != expected:
        message = f"{kind}: answered {status}"
        raise StackError(message)
    _wrk(port, headers, WARM_SECONDS)
    before = processes.cpu_seconds(pid)
    count, rate = _wrk(port, headers, seconds)
    return count, rate, processes.cpu_seconds(pid) - before


def _ask(port: int, headers: dict[str, str]) -> tuple[int, str]:
    """(status, tag)."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", FEED, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.getheader("ETag") or ""


def _wrk(port: int, headers: dict[str, str], seconds: int) -> tuple[int, float]:
    """(requests, requests a second). Raises StackError unless every answer came, and none was an error."""
    words = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", *words, f"http://127.0.0.1:{port}{FEED}"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    count, rate = re.search(r"(\d+) requests in", told), re.search(r"Requests/sec:\s+([\d.]+)", told)
    if count is None or rate is None or "Non-2xx" in told or "Socket errors" in told:
        raise StackError(told)
    return int(count[1]), float(rate[1])


@contextmanager
def _nginx(root: Path) -> Iterator[tuple[int, int]]:
    """(port, pid) of an nginx that serves a folder, and its twins, and nothing else."""
    port = free_port(0)
    with tempfile.TemporaryDirectory(prefix="pressrun-nginx-") as folder:
        places = " ".join(f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        Path(folder, "nginx.conf").write_text(
            ("user root;\n" if os.getuid() == 0 else "") + f"daemon off; pid {folder}/pid; error_log stderr; worker_processes auto;\n"
            "events { worker_connections 768; }\n"
            f"http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; gzip_static on; {places}\n"
            '    types { "application/rss+xml; charset=utf-8" rss; }\n'
            f"    server {{ listen 127.0.0.1:{port}; root {root};\n"
            '        add_header Cache-Control "public, max-age=60"; add_header Vary Accept-Encoding; } }\n'
        )
        process = subprocess.Popen(["nginx", "-p", folder, "-c", f"{folder}/nginx.conf"], stdin=subprocess.DEVNULL)
        try:
            ends = time.monotonic() + READY_SECONDS
            while not _answers(port):
                if process.poll() is not None or time.monotonic() > ends:
                    raise StackError("nginx did not come up")
                time.sleep(0.05)
            yield port, process.pid
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


def _answers(port: int) -> bool:
    try:
        return _ask(port, {})[0] == http.client.OK
    except OSError:
        return False
