"""The benchmarks measure what they say: their articles are valid, their copies complete, and the smallest measure runs."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import click
import pytest

from benchmarks import articles, measuring, polls, processes, report, stocking
from benchmarks.__main__ import MEASURES, chosen
from benchmarks.accept import Accept, Rate
from benchmarks.stack import CONFIG, OUTLETS
from pipeline.rules import house, routes, schema
from pipeline.rules.article import from_native
from tests.conftest import settings_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.stack import Stack
    from pipeline.model.settings import Settings
    from tests.conftest import Newsroom

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
ROOT = Path(__file__).parents[1]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The settings the measured press run has."""
    return settings_in(tmp_path, bench_config())


def bench_config() -> str:
    """The benchmarks' configuration with the tests' secret and some port."""
    return CONFIG.replace("@PORT@", "8499").replace("file:secret", "env:PRESSRUN_TEST_SECRET")


def test_every_text_makes_a_valid_article(settings: Settings) -> None:
    """Schema and house rules find nothing, so a measure never counts rejections."""
    for number in range(articles.TEXTS):
        event = articles.event(number, NOW)
        assert schema.problems("event.v1.json", event) == ()
        assert list(house.problems(event["data"], settings.sites[0], settings.sources[0], NOW)) == []


def test_an_article_is_of_the_promised_size() -> None:
    """About 6 kB of body, three photographs of which one leads, two authors, tags."""
    for number in range(articles.TEXTS):
        made = from_native(articles.article(number, NOW))
        assert 5_500 < len(made.body_html) < 7_500
        assert [image.role for image in made.images] == ["lead", "inline", "inline"]
        assert (len(made.authors), len(made.tags)) == (2, 4)


def test_the_same_number_makes_the_same_article() -> None:
    """Runs compare because they publish the same; another number or prefix is another article."""
    assert articles.event(7, NOW) == json.loads(json.dumps(articles.event(7, NOW)))
    ids = {articles.article(n, NOW, prefix)["id"] for n in range(500) for prefix in ("a", "b")}
    urls = {articles.article(n, NOW, prefix)["url"] for n in range(500) for prefix in ("a", "b")}
    assert len(ids) == len(urls) == 1000


def test_the_feeds_of_a_section_are_those_the_rules_choose(settings: Settings) -> None:
    """The floor is given the same work as the press run: the table of the generator agrees with the routes."""
    site = settings.sites[0]
    for number in range(len(articles.SECTIONS)):
        chosen_routes = routes.routes(from_native(articles.article(number, NOW)), site)
        feeds = tuple(r.outlet.partition(":")[2] for r in chosen_routes if r.takes and "/feed:" in r.outlet)
        assert feeds == articles.FEEDS_OF[articles.section_of(number)]
        assert sum(route.reason != "The outlet is closed." for route in chosen_routes) == OUTLETS


def test_articles_are_spread_over_the_minutes_before_now() -> None:
    """None lies ahead, so none waits for its time; the order of numbers is the order of dates."""
    dates = [articles.minutes_before(NOW, n, 10, 5.0) for n in range(10)]
    assert dates == sorted(dates)
    assert NOW - timedelta(minutes=5) <= dates[0] < dates[-1] < NOW


def test_a_stock_is_the_originals_and_their_copies(make_newsroom: Callable[..., Newsroom], tmp_path: Path) -> None:
    """Every table the press run fills for an article grows alike, the copies are older, and upkeep finds nothing to do."""
    path = tmp_path / "ledger.sqlite"
    room = make_newsroom(bench_config(), f"sqlite:///{path}")
    for number in range(3):
        room.send("published", articles.article(number, room.clock.now() - timedelta(minutes=number)))
    room.drain()
    room.context.ledger.close()
    stocking.multiply(cast("Stack", SimpleNamespace(database=path)), 4, 60.0)
    with closing(sqlite3.connect(path)) as ledger:
        counts = {t: ledger.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("events", "articles", "revisions", "deliveries")}
        newest = ledger.execute("SELECT max(id) FROM articles WHERE id <= 3 ORDER BY id").fetchone()[0]
        dates = ledger.execute("SELECT min(sort_at), max(sort_at) FROM deliveries WHERE article_id > ?", (newest,)).fetchone()
        live = ledger.execute("SELECT count(*) FROM articles a JOIN revisions r ON r.id = a.live AND r.article_id = a.id").fetchone()[0]
        broken = ledger.execute("PRAGMA foreign_key_check").fetchall()
    assert counts == {"events": 15, "articles": 15, "revisions": 15, "deliveries": 15 * OUTLETS}
    assert dates[1] < room.clock.now().timestamp() * 1e6 - 60 * 60e6
    assert (live, broken) == (15, [])
    before = room.feed("all")
    room.drain()
    assert room.feed("all") == before


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ("", [name for name in MEASURES if name != "polls"]),
        ("a,b", ["accept", "visible"]),
        ("archive", ["archive"]),
        ("c", ["throughput", "floors"]),
        ("e", ["throughput"]),
        ("g", ["steady"]),
        ("h", ["scale"]),
        ("j", ["polls"]),
    ],
)
def test_only_names_measures_and_what_they_need(only: str, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The throughput is told beside its floor; memory is taken in the throughput's press run; polls want programs that may be missing."""
    monkeypatch.setattr(polls, "PROGRAMS", ("a-program-nobody-has",))
    assert chosen(only) == expected
    monkeypatch.setattr(polls, "PROGRAMS", ())
    assert chosen(only) == (expected if only else list(MEASURES))


def test_an_unknown_measure_is_refused() -> None:
    """A typo must not look like a quick success."""
    with pytest.raises(click.BadParameter, match="expected some of"):
        chosen("a,speed")


def test_percentiles_are_nearest_rank() -> None:
    """Of a hundred values the 99th smallest is the p99; of nothing there is none."""
    values = [float(n) for n in range(100, 0, -1)]
    assert [measuring.percentile(values, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50.0, 95.0, 99.0, 100.0]
    with pytest.raises(ValueError, match="nothing"):
        measuring.percentile([], 0.5)


def test_a_mark_is_a_bound_in_its_own_direction() -> None:
    """Milliseconds must stay below theirs, rates above; a figure without a mark is only told."""
    assert report.Line("m", "w", 40.0, "ms", 40.0).reached is True
    assert report.Line("m", "w", 40.1, "ms", 40.0).reached is False
    assert report.Line("m", "w", 149.0, "articles/s", 150.0, at_most=False).reached is False
    assert report.Line("m", "w", 1.0, "ms").reached is None


def test_the_table_says_what_was_measured() -> None:
    """Figures, the machine and the load stand in it."""
    rate = Rate(1234.5, 1.0, 2.5, 9.0)
    shown = report.table(report.Results(accept=Accept(16, 100, rate, rate, rate, 0.5)), quick=True, seconds=3.0)
    assert "1,234" in shown
    assert "SQLite" in shown
    assert "accept 0.5; quick run" in shown


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_tree_of_processes_is_counted() -> None:
    """CPU time and memory include the children."""
    burn = "import time\nwhile time.process_time() < 0.4: pass\ninput()"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}], check=False)"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            while processes.cpu_seconds(process.pid) < 0.3:
                assert process.poll() is None
                time.sleep(0.02)
            assert len(processes.tree(process.pid)) == 2
            assert sum(processes.pss_megabytes(process.pid).values()) > 5
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(20)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_the_smallest_measure_runs() -> None:
    """A real press run, real senders: every webhook is accepted, and the figures come as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--only", "a", "--json", "-"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["quick"] is True
    assert found["measures"]["accept"]["webhooks"] == measuring.QUICK.webhooks
    assert all(figure["value"] > 0 for figure in found["figures"])
