"""The verbs that need no running instance, in a newsroom with a ledger of its own."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from pipeline import validate
from pipeline.context import open_context, register
from pipeline.kit.clock import SetClock, rfc3339
from pipeline.ledger import deliveries, tables
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


def test_config_links_prints_what_a_head_says_of_the_feeds(folder: Path) -> None:
    """Every feed that stands, the first one first, each title once; nothing for search engines or of a feed that is closed."""
    closed = '[sites.demo.feeds.old]\ntitle = "Old"\nclosed = true\n[sites.demo.feeds.fish]\ntitle = "Fish & <chips>"\n'
    (folder / "pressrun.toml").write_text(WRITTEN.replace("[sites.demo.mirrors.one]", f"{closed}[sites.demo.mirrors.one]"))
    done = pressrun(folder, "config", "links", "demo")
    assert (done.returncode, done.stdout) == (0, pressrun(folder, "config", "links").stdout)
    lines = done.stdout.splitlines()
    assert lines[0].startswith('<link rel="alternate" type="application/rss+xml" title="Everything (')
    assert lines[0].endswith(' href="http://127.0.0.1:8499/demo/feeds/all.rss">')
    assert [line.partition('type="')[2].partition('"')[0] for line in lines] == 3 * [
        "application/rss+xml",
        "application/atom+xml",
        "application/feed+json",
    ]
    assert "Fish &amp; &lt;chips&gt;" in lines[6]
    assert len({line.partition('title="')[2].partition('"')[0] for line in lines}) == 9
    assert "/old." not in done.stdout
    assert pressrun(folder, "config", "links", "none").returncode == 2


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


def test_an_address_is_the_one_of_the_configuration_now(folder: Path, room: Newsroom) -> None:
    """After a start on another port, of what is there and of what is gone; a person and a program are told the same."""
    room.send("published", article())
    room.send("published", article(id="a-2", url="https://www.example.org/news/loud-harbour.html"))
    room.drain()
    room.clock.move(1)
    room.send("withdrawn", {"id": "a-2"})
    room.drain()
    before = {cms_id: told_addresses(folder, cms_id) for cms_id in ("a-1", "a-2")}
    (folder / "pressrun.toml").write_text(WRITTEN.replace("port = 8499", "port = 8599"))
    for cms_id, addresses in before.items():
        now = told_addresses(folder, cms_id)
        assert len(now) == 7
        assert now == {outlet: url.replace("http://127.0.0.1:8499/", "http://127.0.0.1:8599/") for outlet, url in addresses.items()}
        assert "8499" not in pressrun(folder, "status", cms_id).stdout
    (folder / "pressrun.toml").write_text(
        WRITTEN.replace("[sites.demo.mirrors.one]", '[sites.demo.mirrors.one]\nbase_url = "https://one.test/"')
    )
    assert told_addresses(folder, "a-1")["demo/mirror:one"].startswith("https://one.test/quiet-harbour-")


def told_addresses(folder: Path, cms_id: str) -> dict[str, str]:
    """Outlet → URL, as `status --json` tells it."""
    found = json.loads(pressrun(folder, "status", cms_id, "--json").stdout)["articles"][0]
    return {o["outlet"]: o["url"] for o in found["outlets"]}


def test_an_outlet_that_is_left_alone_is_named_with_its_last_failure(folder: Path, room: Newsroom) -> None:
    """Its circuit opened before the article came, so that the delivery itself has met nothing; a paused one is named, too."""
    room.send("published", article())
    validate.run(room.context, ["newsroom"])
    until = room.clock.now().replace(microsecond=0) + timedelta(seconds=200)
    with room.context.ledger.write() as tx:
        tx.run(tables.outlets.update().where(tables.outlets.c.key == "demo/mirror:one").values(circuit_failures=5, circuit_until=until))
        tx.run(tables.outlets.update().where(tables.outlets.c.key == "demo/feed:all").values(paused=True))
        deliveries.record(tx, "demo/mirror:one", [(None, 8000, "failed", "It did not answer within 8 s.")])
    why = (
        f"The outlet failed 5 times in a row; it is left alone until {rfc3339(until)}, then tried again."
        " The last failure: It did not answer within 8 s."
    )
    overview = pressrun(folder, "status")
    assert overview.returncode == 1
    assert f"demo/mirror:one: {why}" in overview.stdout.splitlines()
    assert "demo/feed:all: The outlet is paused." in overview.stdout.splitlines()
    lines = {line.split()[0]: line for line in pressrun(folder, "status", "a-1").stdout.splitlines() if "demo/" in line}
    assert lines["demo/mirror:one"].endswith(why)
    told = json.loads(pressrun(folder, "status", "--json").stdout)
    assert [(o["outlet"], o["paused"], o["circuit_until"]) for o in told["left_alone"]] == [
        ("demo/feed:all", True, None),
        ("demo/mirror:one", False, rfc3339(until)),
    ]
    reasons = {o["outlet"]: o["reason"] for o in told["articles"][0]["outlets"] if o["reason"]}
    assert reasons == {"demo/mirror:one": why, "demo/feed:all": "The outlet is paused."}


def test_doctor_names_an_open_circuit_as_a_fault_and_a_pause_as_a_fact(folder: Path, room: Newsroom) -> None:
    """And says that it goes on by itself."""
    assert doctor_of_outlets(folder) == (True, "every circuit is closed, none is paused")
    with room.context.ledger.write() as tx:
        tx.run(tables.outlets.update().where(tables.outlets.c.key == "demo/feed:all").values(paused=True))
    assert doctor_of_outlets(folder) == (True, "demo/feed:all: The outlet is paused.")
    with room.context.ledger.write() as tx:
        values = {"circuit_failures": 5, "circuit_until": room.clock.now() - timedelta(seconds=1)}
        tx.run(tables.outlets.update().where(tables.outlets.c.key == "demo/mirror:one").values(**values))
    good, said = doctor_of_outlets(folder)
    assert not good
    assert "demo/mirror:one: The outlet failed 5 times in a row; it is being tried again. See that it answers" in said


def doctor_of_outlets(folder: Path) -> tuple[bool, str]:
    """Whether doctor finds the outlets good, and what it says of them."""
    checks = json.loads(pressrun(folder, "doctor", "--json").stdout)["checks"]
    found = next(check for check in checks if check["check"] == "outlets")
    return found["good"], found["detail"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{nope", "The body is not JSON: Expecting property name enclosed in double quotes (line 1, column 2)."),
        (b'{"id": "\xff"}', "The body is not valid UTF-8: the byte at offset 8 cannot stand there."),
        (b'{"id": "a", "id": "b"}', "/id: This key stands in its object more than once."),
    ],
    ids=["no JSON", "no UTF-8", "a key twice"],
)
def test_what_cannot_be_read_is_refused_in_the_same_words_by_publish_and_validate(
    folder: Path, room: Newsroom, body: bytes, words: str
) -> None:
    """Before anything is sent: 2 of `publish`, which names the file; 1 of `validate`, whose answer it is."""
    del room
    file = folder / "bad.json"
    file.write_bytes(body)
    sent = pressrun(folder, "publish", str(file))
    assert (sent.returncode, sent.stderr.strip()) == (2, f"{file}: {words}")
    checked = pressrun(folder, "validate", str(file))
    assert checked.returncode == 1
    assert words in checked.stdout


def test_half_a_position_is_told_what_it_lacks(folder: Path) -> None:
    """At the field that is missing, and in words."""
    file = folder / "half.json"
    for given, lacking in (("latitude", "longitude"), ("longitude", "latitude")):
        file.write_text(json.dumps(article(geo={given: 5})))
        done = pressrun(folder, "validate", str(file), "--json")
        problems = json.loads(done.stdout)["files"][0]["problems"]
        assert problems == [{"pointer": f"/data/geo/{lacking}", "detail": f"This field is required beside {given}."}]


@pytest.mark.parametrize("verb", [["up"], ["db", "upgrade"], ["status"]], ids=" ".join)
def test_a_data_folder_that_cannot_be_used_is_3(folder: Path, verb: list[str]) -> None:
    """A file in its place: something needed is not reachable."""
    (folder / "data").write_text("not a folder")
    done = pressrun(folder, *verb)
    assert done.returncode == 3, done.stderr
    assert str(folder / "data") in done.stderr
    assert "Traceback" not in done.stderr
