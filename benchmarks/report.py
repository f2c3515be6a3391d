"""What was measured, as a table for people and as JSON, each figure beside its mark where it has one."""

from __future__ import annotations

import os
import platform
import sqlite3
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.measuring import percentile
from benchmarks.stack import OUTLETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.accept import Accept, Rate
    from benchmarks.archive import Archive
    from benchmarks.floors import Floors
    from benchmarks.hub import Hub
    from benchmarks.memory import Memory
    from benchmarks.pages import Pages
    from benchmarks.polls import Polls
    from benchmarks.scale import Scale
    from benchmarks.steady import Steady
    from benchmarks.throughput import Throughput
    from benchmarks.visible import Visible

TIMES_BARE = 0.5
VISIBLE_P50, VISIBLE_P95, LAST_P50 = 25.0, 60.0, 120.0  # milliseconds
STEADY_P95 = 1000.0  # milliseconds
TIMES_NAIVE, PER_SECOND = 20.0, 300.0  # articles
ARCHIVE_RATIO = 1.1
MEMORY_MEGABYTES = 350.0
TIMES_NGINX = 0.25
HUB_P99 = 2.0  # seconds
BUILD_MS = 2.0  # of CPU, a format
FORMATS = 3  # of each feed of the measured site
PACKAGES = ("celery", "kombu", "redis", "sqlalchemy", "starlette", "uvicorn", "feedgen", "lxml", "nh3")


@dataclass(frozen=True, slots=True)
class Line:
    """One figure. `mark` is the bound it is held against, None where it is only told; `at_most` says which way."""

    measure: str
    what: str
    value: float
    unit: str
    mark: float | None = None
    at_most: bool = True

    @property
    def reached(self) -> bool | None:
        """Whether the mark is met; None where there is none."""
        if self.mark is None:
            return None
        return self.value <= self.mark if self.at_most else self.value >= self.mark


@dataclass(frozen=True, slots=True)
class Results:
    """What a run measured; None for what it was not asked for."""

    accept: Accept | None = None
    visible: Visible | None = None
    throughput: Throughput | None = None
    steady: Steady | None = None
    archive: Archive | None = None
    scale: Scale | None = None
    pages: Pages | None = None
    memory: Memory | None = None
    floors: Floors | None = None
    polls: Polls | None = None
    hub: Hub | None = None


def lines(results: Results) -> list[Line]:
    """Every figure of the table, in the order of the measures."""
    made: list[Line] = []
    if results.accept:
        made += _accept(results.accept)
    if results.visible:
        made += _visible(results.visible)
    if results.throughput:
        made += _throughput(results.throughput, results.floors)
    if results.steady:
        made += _steady(results.steady)
    if results.archive:
        made += _archive(results.archive)
    if results.scale:
        made += _scale(results.scale)
    made += _pages(results.pages) if results.pages else ()
    made += _hub(results.hub) if results.hub else ()
    if results.memory:
        made += _memory(results.memory)
    if results.floors:
        made += _floors(results.floors)
    if results.polls:
        made += _polls(results.polls)
    return made


def _polls(found: Polls) -> Iterator[Line]:
    for kind, what in (("whole", f"200, {found.size / 1000:.0f} kB"), ("gzip", "200, its gzip twin"), ("unchanged", "304")):
        app, nginx = found.app[kind], found.nginx[kind]
        yield Line("polls", f"{what}: the app alone", app.per_second, "requests/s")
        yield Line("polls", f"{what}: nginx, the same file", nginx.per_second, "requests/s")
        yield Line("polls", f"{what}: times nginx", found.times[kind], "×", TIMES_NGINX, at_most=False)
        yield Line("polls", f"{what}: CPU a request, the app", app.cpu, "µs")
        yield Line("polls", f"{what}: CPU a request, nginx", nginx.cpu, "µs")


def _accept(found: Accept) -> Iterator[Line]:
    for what, rate in (("workers stopped", found.alone), ("workers at work", found.working)):
        yield from _rate("accept", f"{found.senders} senders, {what}", rate)
    yield from _rate("accept", "by the bare endpoint", found.bare)
    yield Line("accept", "times the bare endpoint", found.alone.per_second / found.bare.per_second, "×", TIMES_BARE, at_most=False)


def _rate(measure: str, what: str, rate: Rate) -> Iterator[Line]:
    yield Line(measure, f"accepted, {what}", rate.per_second, "webhooks/s")
    yield Line(measure, f"answer p99, {what}", rate.p99, "ms")


def _visible(found: Visible) -> Iterator[Line]:
    where = f"feed “{found.feed}” shows it in 3 formats"
    yield Line("visible", f"{where}, p50", found.milliseconds("visible", 0.5), "ms", VISIBLE_P50)
    yield Line("visible", f"{where}, p95", found.milliseconds("visible", 0.95), "ms", VISIBLE_P95)
    for name, what, mark in (
        ("stored", "stored and settled there", None),
        ("other_feed", "the other feed settled", None),
        ("last", f"all {OUTLETS} outlets settled", LAST_P50),
    ):
        yield Line("visible", f"{what}, p50", found.milliseconds(name, 0.5), "ms", mark)
        yield Line("visible", f"{what}, p95", found.milliseconds(name, 0.95), "ms")
    for name, what in (
        ("received", "sent → received"),
        ("processed", "received → validated and planned"),
        ("held", "validated → stored in the feed"),
    ):
        yield Line("visible", f"of it: {what}, p50", found.milliseconds(name, 0.5), "ms")


def _throughput(found: Throughput, floors: Floors | None) -> Iterator[Line]:
    what = f"{found.articles} articles until all {OUTLETS} outlets hold them"
    yield Line("throughput", what, found.per_second, "articles/s", PER_SECOND, at_most=False)
    if floors:
        yield Line("throughput", "times the naive pipeline", found.per_second / floors.naive_per_second, "×", TIMES_NAIVE, at_most=False)
        yield Line("throughput", "times the naive pipeline, by CPU an article", floors.naive_cpu / found.cpu_milliseconds, "×")
    for kind, plural in (("feed", "feeds"), ("network", "networks"), ("mirror", "mirrors")):
        yield Line("throughput", f"until the last of the {plural}", max(s for o, s in found.until.items() if f"/{kind}:" in o), "s")
    yield from _rate("throughput", "meanwhile", found.accepted)
    yield Line("throughput", "CPU an article, whole stack", found.cpu_milliseconds, "ms")
    for name, spent in sorted(found.cpu.items(), key=lambda item: -item[1]):
        yield Line("throughput", f"CPU an article, {name}", 1000 * spent / found.articles, "ms")


def _steady(found: Steady) -> Iterator[Line]:
    what = f"{len(found.last)} articles in {found.seconds:.0f} s"
    yield Line("steady", f"{what}: the feed holds it, p50", found.milliseconds("feed", 0.5), "ms")
    yield Line("steady", f"{what}: the feed holds it, p95", found.milliseconds("feed", 0.95), "ms", STEADY_P95)
    yield Line("steady", f"{what}: all {OUTLETS} outlets hold it, p50", found.milliseconds("last", 0.5), "ms")
    yield Line("steady", f"{what}: all {OUTLETS} outlets hold it, p95", found.milliseconds("last", 0.95), "ms")
    yield Line("steady", "the webhook's answer, p99", found.milliseconds("answered", 0.99), "ms")


def _archive(found: Archive) -> Iterator[Line]:
    for cost in (found.small, found.large):
        yield Line("archive", f"CPU an article, {cost.held:,} held", sum(cost.cpu) / len(cost.cpu), "ms")
        yield Line("archive", f"wall an article, {cost.held:,} held", sum(cost.wall) / len(cost.wall), "ms")
    what = f"{found.large.held:,} by {found.small.held:,} held"
    yield Line("archive", f"CPU, {what}", found.ratio("cpu"), "×", ARCHIVE_RATIO)
    yield Line("archive", f"wall, {what}", found.ratio("wall"), "×")


def _scale(found: Scale) -> Iterator[Line]:
    for width in found.widths:
        what = f"PostgreSQL, 2 web processes, {width.workers} worker{'s' if width.workers > 1 else ''}"
        yield Line("scale", f"{what}: {width.articles} articles to all {OUTLETS} outlets", width.per_second, "articles/s")
        yield Line("scale", f"{what}: accepted meanwhile", width.accepted_per_second, "webhooks/s")
        for name, spent in width.cpu.items():
            yield Line("scale", f"{what}: CPU an article, {name}", 1000 * spent / width.articles, "ms")
        yield Line("scale", f"{what}: messages an article", sum(width.nudges.values()) / width.articles, "")
    last = found.widths[-1]
    for name, size in sorted(last.bytes.items(), key=lambda item: -item[1])[:6]:
        yield Line("scale", f"PostgreSQL, {name} with its indexes, an article ({last.rows[name]:,} rows)", size / last.articles, "bytes")


def _pages(found: Pages) -> Iterator[Line]:
    usual = f"CPU of a build with one new entry, {found.entries} in the document, a format"
    yield Line("pages", usual, median(found.usual) / FORMATS, "ms", BUILD_MS)
    where = f"{found.held:,} articles on {found.pages:,} pages"
    for what, spent in (
        ("one new article in the live document", found.live),
        ("200 new articles, four pages close", found.closed),
        ("a withdrawal on one of the oldest pages", found.old),
    ):
        yield Line("pages", f"CPU of a feed's build, {where}: {what}", median(spent), "ms")
    yield Line("pages", "CPU to read and write a page's bytes and no more", found.floor, "ms")
    yield Line("pages", "the most memory of this process, before", found.memory_before, "MB")
    yield Line("pages", "the most memory, after", found.memory_after, "MB")


def _hub(found: Hub) -> Iterator[Line]:
    who = f"{found.subscribers:,} subscribers ({found.dead} dead, {found.slow} slow)"
    yield Line("hub", f"{who}: until all were verified", found.subscribed, "s")
    for number, seconds in enumerate(found.seconds, start=1):
        yield Line("hub", f"change {number}, from the webhook until a living one has it, p50", percentile(seconds, 0.5), "s")
        yield Line("hub", f"change {number}, from the webhook until a living one has it, p99", percentile(seconds, 0.99), "s", HUB_P99)
    yield Line("hub", "as many told by bare threads", found.floor, "s")
    yield Line("hub", "requests a subscriber and change, verifications left out", found.told, "")
    yield Line("hub", "CPU of the worker, a living subscriber and change", 1000 * found.cpu / found.changes / len(found.seconds[0]), "ms")
    yield Line("hub", f"memory of the worker, a document of {found.document // 1000} kB", found.memory, "MB")


def _memory(found: Memory) -> Iterator[Line]:
    yield Line("memory", "whole stack, idle", found.idle_total, "MB", MEMORY_MEGABYTES)
    yield Line("memory", "whole stack, after the burst", found.after_total, "MB", MEMORY_MEGABYTES)
    for name, size in sorted(found.after.items(), key=lambda item: -item[1]):
        yield Line("memory", f"{name}, after the burst (idle {found.idle.get(name, 0.0):.0f})", size, "MB")


def _floors(found: Floors) -> Iterator[Line]:
    yield Line("floors", f"{found.messages} no-op tasks sent", found.sent_per_second, "messages/s")
    yield Line("floors", f"{found.messages} no-op tasks sent and executed", found.executed_per_second, "messages/s")
    yield Line("floors", f"naive pipeline, {found.naive_articles} articles", found.naive_per_second, "articles/s")
    yield Line("floors", "naive pipeline, CPU an article", found.naive_cpu, "ms")


def machine() -> dict[str, object]:
    """Where this was measured: figures of another machine do not compare."""
    return {
        "processor": _first("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_megabytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000,
        "system": platform.platform(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{name: version(name) for name in PACKAGES},
    }


def _first(path: str, key: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith(key)), "")


def table(results: Results, *, quick: bool, seconds: float) -> str:
    """The figures for people, then where they were measured."""
    rows = [_row(line) for line in lines(results)]
    widths = [max(len(row[i]) for row in [_HEAD, *rows]) for i in range(len(_HEAD))]
    text = [_laid(row, widths) for row in (_HEAD, *rows)]
    facts = machine()
    loads = ", ".join(f"{name} {part['load']:.1f}" for name, part in _parts(results).items() if "load" in part)
    return "\n".join(
        [
            *text,
            "",
            f"{facts['cores']} cores ({facts['processor']}), Python {facts['python']}, SQLite {facts['sqlite']}, "
            + ", ".join(f"{name} {facts[name]}" for name in PACKAGES),
            f"load at the start of each: {loads or 'not taken'}; {'quick run, ' if quick else ''}{seconds:.0f} s in all",
        ],
    )


_HEAD = ("measure", "what", "value", "unit", "mark", "")


def _row(line: Line) -> tuple[str, str, str, str, str, str]:
    mark = "" if line.mark is None else f"{'≤' if line.at_most else '≥'} {line.mark:g}"
    verdict = {None: "", True: "reached", False: "NOT REACHED"}[line.reached]
    digits = 2 if line.unit == "×" else 1 if line.value < 1000 else 0
    return line.measure, line.what, f"{line.value:,.{digits}f}", line.unit, mark, verdict


def _laid(row: tuple[str, ...], widths: list[int]) -> str:
    cells = [cell.rjust(width) if place == 2 else cell.ljust(width) for place, (cell, width) in enumerate(zip(row, widths, strict=True))]
    return "  ".join(cells).rstrip()


def _parts(results: Results) -> dict[str, dict[str, object]]:
    return {name: part for name, part in asdict(results).items() if part is not None}


def to_json(results: Results, *, quick: bool, seconds: float) -> dict[str, object]:
    """Everything, raw values included, for programs."""
    figures = [
        {"measure": f.measure, "what": f.what, "value": f.value, "unit": f.unit, "mark": f.mark, "reached": f.reached}
        for f in lines(results)
    ]
    return {"machine": machine(), "quick": quick, "seconds": seconds, "figures": figures, "measures": _parts(results)}
