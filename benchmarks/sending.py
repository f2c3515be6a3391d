"""Senders in a process of their own: sixteen kept connections that post signed webhooks as fast as they are answered.

`python -m benchmarks.sending PORT PREFIX FIRST COUNT SENDERS PER_SECOND` makes and signs everything first, says "ready", waits
for a line, posts (evenly, so many a second; 0: as fast as they are answered), and prints one JSON object. So neither making
nor signing is on the clock, and the sender's interpreter is not the one that measures anything else.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from benchmarks import articles
from benchmarks.stack import ROOT, SOURCE, signed
from tasks.broker import tied

if TYPE_CHECKING:
    from collections.abc import Iterator

MINUTES = 1.0
"""Articles of one burst are published evenly over the minute before it, the way a desk's backlog is."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What senders saw: instants in seconds since the epoch, latencies in seconds, how often each status was answered."""

    began: float
    ended: float
    latencies: tuple[float, ...]
    statuses: dict[str, int]

    @property
    def rate(self) -> float:
        """Accepted webhooks per second."""
        return self.statuses.get("202", 0) / (self.ended - self.began)


class Senders:
    """The process, ready to send."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """`process` has said that it is ready."""
        self._process = process

    def go(self) -> None:
        """Begin to send."""
        if self._process.stdin is None:
            raise RuntimeError("the senders have no input")
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def result(self) -> Sent:
        """Wait until everything was answered. Raises RuntimeError when the senders failed."""
        out, _ = self._process.communicate(timeout=300)
        if self._process.returncode != 0:
            message = f"the senders ended with {self._process.returncode}"
            raise RuntimeError(message)
        said = json.loads(out)
        return Sent(said["began"], said["ended"], tuple(said["latencies"]), said["statuses"])


@contextmanager
def senders(port: int, prefix: str, count: int, *, first: int = 0, connections: int = 16, per_second: float = 0.0) -> Iterator[Senders]:
    """Senders with `count` webhooks made and signed, waiting for `go`; ended on the way out."""
    numbers = (port, prefix, first, count, connections, per_second)
    words = [sys.executable, "-m", "benchmarks.sending", *map(str, numbers)]
    process = subprocess.Popen(tied(words), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise RuntimeError("the senders did not become ready")
        yield Senders(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _requests(prefix: str, first: int, count: int) -> list[bytes]:
    now = datetime.now(UTC)
    made = []
    for number in range(first, first + count):
        when = articles.minutes_before(now, number - first, count, MINUTES)
        body = json.dumps(articles.event(number, when, prefix), ensure_ascii=False).encode()
        lines = [f"{name}: {value}" for name, value in signed(body, articles.cms_id(number, prefix)).items()]
        head = "\r\n".join([f"POST /webhooks/{SOURCE} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}", *lines])
        made.append(head.encode() + b"\r\n\r\n" + body)
    return made


async def _send(port: int, requests: Iterator[tuple[float, bytes]], latencies: list[float], statuses: dict[str, int], start: float) -> None:
    """One sender: the next request as soon as the last one was answered, and not before its time (seconds after `start`)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for after, request in requests:
        if (early := start + after - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(_length(head))
        latencies.append(time.perf_counter() - began)
        status = head[9:12].decode()
        statuses[status] = statuses.get(status, 0) + 1
    writer.close()


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    raise RuntimeError("an answer without Content-Length")


async def _all(port: int, requests: list[bytes], connections: int, per_second: float) -> Sent:
    latencies: list[float] = []
    statuses: dict[str, int] = {}
    shared = ((place / per_second if per_second else 0.0, request) for place, request in enumerate(requests))
    began, start = time.time(), time.perf_counter()
    await asyncio.gather(*(_send(port, shared, latencies, statuses, start) for _ in range(connections)))
    return Sent(began, time.time(), tuple(latencies), statuses)


def main(arguments: list[str]) -> None:
    """Make, say ready, wait, send, tell."""
    port, first, count, connections = int(arguments[0]), *map(int, arguments[2:5])
    per_second = float(arguments[5])
    requests = _requests(arguments[1], first, count)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    sent = asyncio.run(_all(port, requests, connections, per_second))
    said = {"began": sent.began, "ended": sent.ended, "latencies": sent.latencies, "statuses": sent.statuses}
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[1:])
