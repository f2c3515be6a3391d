"""The verbs that need no running instance, in a newsroom with a ledger of its own."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from pipeline.context import open_context, register
from pipeline.kit.clock import SetClock, rfc3339
from pipeline.ledger.upgrade import upgrade
from tests.cli.terminal import pressrun
from tests.conftest import CONFIG, SECRET, Newsroom, article

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LATER = rfc3339(datetime.now(UTC).replace(microsecond=0) + timedelta(days=30))
WRITTEN = CONFIG.replace("env:PRESSRUN_TEST_SECRET", "file:secret")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a configuration and its secret."""
    (tmp_path / "pressrun.toml").write_text(WRITTEN)
    (tmp_path / "secret").write_text(SECRET)
    return tmp_path


@pytest.fixture
def room(folder: Path) -> Iterator[Newsroom]:
    """The same with its ledger."""
    clock = SetClock(datetime.now(UTC))
    context = open_context(folder / "pressrun.toml", clock)
    upgrade(context.ledger.url)
    register(context)
    yield Newsroom(context, clock)
    context.close()


def test_a_ledger_without_articles_says_so(folder: Path, room: Newsroom) -> None:
    """Nothing is out yet, so nothing is “everywhere”."""
    del room
    done = pressrun(folder, "status")
    assert (done.returncode, done.stdout.strip()) == (0, "Nothing was published yet: `pressrun publish FILE` sends an article.")


def test_an_embargoed_article_is_no_fault_and_is_named_with_its_time(folder: Path, room: Newsroom) -> None:
    """Asked for by id, and in the overview, in both kinds of output."""
    room.send("published", article(embargo_until=LATER))
    room.drain()
    assert pressrun(folder, "status", "a-1").returncode == 0
    overview = pressrun(folder, "status", "--newest", "0")
    assert overview.returncode == 0
    assert f"Waits until {LATER}: demo · a-1 · A quiet harbour" in overview.stdout
    waiting = json.loads(pressrun(folder, "status", "--json").stdout)["waiting"]
    assert [(w["id"], w["revision"], w["waits_until"]) for w in waiting] == [("a-1", 1, LATER)]


def test_what_left_a_feed_is_not_shown_as_if_it_were_there(folder: Path, room: Newsroom) -> None:
    """Settled, gone, and why: its section changed."""
    room.send("published", article())
    room.drain()
    room.send("updated", article(section=["Culture"], updated_at="2026-11-23T07:30:00Z"))
    room.drain()
    lines = {line.split()[0]: line for line in pressrun(folder, "status", "a-1").stdout.splitlines() if "demo/" in line}
    assert "settled (gone)" in lines["demo/feed:world"]
    assert "Its section is Culture" in lines["demo/feed:world"]
    assert "(gone)" not in lines["demo/feed:all"]
    told = json.loads(pressrun(folder, "status", "a-1", "--json").stdout)["articles"][0]["outlets"]
    assert [(o["outlet"], o["state"], "Culture" in o["reason"]) for o in told if o.get("gone")] == [("demo/feed:world", "settled", True)]


def test_drain_says_what_it_did(folder: Path, room: Newsroom) -> None:
    """Also that there was nothing to do."""
    room.send("published", article())
    done = pressrun(folder, "drain")
    assert done.stdout.endswith(" done; nothing else is due now.\n")
    assert "feeds demo/feed:all: 1" in done.stderr.splitlines()
    again = [pressrun(folder, "drain") for _ in range(4)][-1]  # twins follow after two seconds
    assert (again.stdout, again.stderr) == ("Nothing was due.\n", "")


def test_verify_reads_the_feeds_at_the_origin_back(folder: Path, room: Newsroom) -> None:
    """A defaced feed is found, left alone without repair, and made again with it."""
    room.send("published", article())
    room.drain()
    path = room.context.settings.origin / "demo" / "feeds" / "all.rss"
    assert pressrun(folder, "verify").returncode == 0
    path.write_bytes(b"defaced")
    told = pressrun(folder, "verify", "--no-repair", "--json")
    assert told.returncode == 1
    drift = {f["outlet"]: f["drift"] for f in json.loads(told.stdout)["feeds"]}
    assert [d["path"] for d in drift["demo/feed:all"]] == ["demo/feeds/all.rss"]
    assert not drift["demo/feed:world"]
    room.clock.move(4)
    room.drain()
    assert path.read_bytes() == b"defaced"
    assert pressrun(folder, "verify", "all").returncode == 1
    room.clock.move(4)
    room.drain()
    assert b"A quiet harbour" in path.read_bytes()
    assert pressrun(folder, "verify", "demo/feed:all").returncode == 0
    assert "there is no mirror or feed" in pressrun(folder, "verify", "none").stderr


def test_verify_unpacks_the_twins(folder: Path, room: Newsroom) -> None:
    """What a reader is sent compressed is the document, or it is made again."""
    room.send("published", article())
    room.drain()
    room.clock.move(3)
    room.drain()
    twin = room.context.settings.origin / "demo" / "feeds" / "all.rss.gz"
    right = twin.read_bytes()
    assert pressrun(folder, "verify", "all").returncode == 0
    for wrong in (gzip.compress(b"defaced"), b"torn", right[:50]):
        twin.write_bytes(wrong)
        told = pressrun(folder, "verify", "all", "--no-repair")
        assert told.returncode == 1
        assert "demo/feeds/all.rss: Its compressed twin .gz holds other bytes." in told.stdout
    assert pressrun(folder, "verify", "all").returncode == 1
    room.clock.move(4)
    room.drain()
    assert not twin.exists()
    assert pressrun(folder, "verify", "all").returncode == 0


def test_config_check_names_what_the_next_start_would_refuse(folder: Path, room: Newsroom) -> None:
    """Another tag_host or tag_date than the ledger began with, with file and line."""
    del room
    assert pressrun(folder, "config", "check").returncode == 0
    (folder / "pressrun.toml").write_text(WRITTEN.replace('tag_date = "2026-01-01"', 'tag_date = "2026-01-02"'))
    done = pressrun(folder, "config", "check")
    assert done.returncode == 2
    line = WRITTEN.splitlines().index('tag_host = "example.org"') + 1
    assert done.stderr.startswith(f"{folder / 'pressrun.toml'}:{line}: ")
    assert "'2026-01-01'" in done.stderr


def test_config_check_leaves_no_trace(folder: Path) -> None:
    """It looks; the ledger is made by whoever starts."""
    assert pressrun(folder, "config", "check").returncode == 0
    assert sorted(path.name for path in folder.iterdir()) == ["pressrun.toml", "secret"]


def test_validate_knows_how_long_a_webhook_may_be(folder: Path) -> None:
    """What would be refused online is refused offline."""
    file = folder / "long.json"
    file.write_text(json.dumps(article(extra={"x": "y" * 1_100_000})))
    done = pressrun(folder, "validate", str(file))
    assert done.returncode == 1
    assert "limits.body_bytes" in done.stdout


@pytest.mark.parametrize("verb", [["up"], ["db", "upgrade"], ["status"]], ids=" ".join)
def test_a_data_folder_that_cannot_be_used_is_3(folder: Path, verb: list[str]) -> None:
    """A file in its place: something needed is not reachable."""
    (folder / "data").write_text("not a folder")
    done = pressrun(folder, *verb)
    assert done.returncode == 3, done.stderr
    assert str(folder / "data") in done.stderr
    assert "Traceback" not in done.stderr
