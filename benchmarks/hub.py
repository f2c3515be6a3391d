"""How soon a thousand subscribers are told of a change, one in five of them dead and one in twenty slow.

The clock starts before the first byte of the webhook is sent; for each subscriber that lives it stops when the last byte of the
new document has come. The first change meets subscribers nobody knows; at the next ones the hub knows who was quick.
"""

from __future__ import annotations

import http.client
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks import processes
from benchmarks.crowd import Crowd
from benchmarks.measuring import load
from benchmarks.stack import Stack, StackError
from benchmarks.visible import ARCHIVE_MINUTES
from pipeline.kit.crew import YOUNG

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.crowd import Heard
    from benchmarks.measuring import Sizes

LIVE = ("quick", "slow")
PATIENCE = 120.0
REST = 10.0  # seconds between two changes: who was slow has answered, who was silent was given up
ACCEPTED = 202


@dataclass(frozen=True, slots=True)
class Hub:
    """Seconds from the webhook until each living subscriber had the document, one list a change.

    subscribed   seconds until all were verified
    floor        seconds in which bare threads tell as many who live
    requests     all that the crowd was asked and told, of `changes` changes to `subscribers`
    cpu          CPU seconds of the worker that tells them, for all changes
    memory       megabytes of that worker at the end
    document     bytes of what each was told
    """

    subscribers: int
    dead: int
    slow: int
    changes: int
    subscribed: float
    seconds: tuple[tuple[float, ...], ...]
    floor: float
    requests: int
    cpu: float
    memory: float
    document: int
    load: float

    @property
    def told(self) -> float:
        """Requests that each of the crowd got for one change: more than one where somebody was tried again."""
        return (self.requests - self.subscribers) / self.subscribers / self.changes


def kinds(subscribers: int) -> dict[str, int]:
    """Who is in the crowd: a tenth never answers, a tenth is gone, a twentieth takes its time."""
    slow, silent, gone = subscribers // 20, subscribers // 10, subscribers // 10
    return {"quick": subscribers - slow - silent - gone, "slow": slow, "silent": silent, "gone": gone}


def measure(sizes: Sizes) -> Hub:
    """The whole measure."""
    crowd_of, before = kinds(sizes.subscribers), load()
    with Crowd() as crowd:
        stack = Stack()
        allow = ", ".join(f'"{authority}"' for authority in crowd.authorities)
        text = stack.config.read_text().replace("[server]\n", f"[server]\nallow_hosts = [{allow}]\n")
        stack.config.write_text(f"{text}[hub]\nper_host = {2 * sizes.subscribers}\nmost = {2 * sizes.subscribers}\n")
        with stack:
            return _measure(stack, crowd, crowd_of, sizes, before)


def _measure(stack: Stack, crowd: Crowd, crowd_of: dict[str, int], sizes: Sizes, before: float) -> Hub:
    base = f"http://127.0.0.1:{stack.port}"
    topic = f"{base}/bench/feeds/all.atom"
    stack.publish(range(sizes.held), "held", ARCHIVE_MINUTES)
    stack.wait_until_settled(PATIENCE)
    began = time.monotonic()
    said = crowd.subscribe(f"{base}/hub", topic, crowd_of)
    if set(said) != {ACCEPTED}:
        message = f"the hub did not take all of them: {sorted(set(said))}"
        raise StackError(message)
    _wait(lambda: crowd.verified() >= sizes.subscribers, "they were not all asked")
    subscribed = time.monotonic() - began
    crowd.leave()
    cpu = processes.cpu_by_command(stack.pid)["reach"]
    seconds = tuple(_change(stack, crowd, crowd_of, number) for number in range(sizes.changes))
    spent = processes.cpu_by_command(stack.pid)["reach"] - cpu
    document = stack.get("/bench/feeds/all.atom")[1]
    requests = crowd.requests()
    return Hub(
        subscribers=sizes.subscribers,
        dead=crowd_of["silent"] + crowd_of["gone"],
        slow=crowd_of["slow"],
        changes=sizes.changes,
        subscribed=subscribed,
        seconds=seconds,
        floor=_floor(crowd, document, sum(crowd_of[kind] for kind in LIVE)),
        requests=requests,
        cpu=spent,
        memory=processes.pss_megabytes(stack.pid)["reach"],
        document=len(document),
        load=before,
    )


def _floor(crowd: Crowd, document: bytes, living: int) -> float:
    """Seconds in which bare threads over kept connections POST the same bytes to as many who answer at once."""
    began = time.monotonic()
    mine = threading.local()

    def tell(number: int) -> None:
        if not hasattr(mine, "line"):
            mine.line = http.client.HTTPConnection("127.0.0.1", crowd.port, timeout=PATIENCE)
        mine.line.request("POST", f"/floor/{number}", document, {"content-type": "application/atom+xml"})
        mine.line.getresponse().read()

    with ThreadPoolExecutor(YOUNG) as several:
        list(several.map(tell, range(living)))
    return time.monotonic() - began


def _change(stack: Stack, crowd: Crowd, crowd_of: dict[str, int], number: int) -> tuple[float, ...]:
    """One article; how long each living subscriber waited for it."""
    known = {one.sha256 for one in crowd.heard()}
    began = time.time()
    stack.publish(range(1), f"change{number}")
    living = sum(crowd_of[kind] for kind in LIVE)

    def told() -> dict[tuple[str, int], Heard]:
        return {(one.kind, one.number): one for one in crowd.heard() if one.kind in LIVE and one.sha256 not in known}

    _wait(lambda: len(told()) >= living, "they were not all told")
    found = tuple(sorted(one.at - began for one in told().values()))
    time.sleep(REST)
    return found


def _wait(what: Callable[[], bool], otherwise: str) -> None:
    ends = time.monotonic() + PATIENCE
    while not what():
        if time.monotonic() > ends:
            raise StackError(otherwise)
        time.sleep(0.2)
