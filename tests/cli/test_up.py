"""`up` and `demo` as a person uses them: real processes, their own folder, their own port."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import feedparser
import psutil
import pytest

from pipeline.kit.clock import rfc3339
from tests.cli.terminal import ROOT, environment, pressrun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

EXAMPLES = sorted((ROOT / "schemas" / "examples").glob("*.json"))
pytestmark = [pytest.mark.xdist_group("up"), pytest.mark.timeout(180)]


def start(verb: str) -> list[str]:
    """The command of a verb that stays."""
    return [sys.executable, "-c", "from pipeline.cli import main; main()", verb]


class Up:
    """A running `pressrun up`."""

    def __init__(self, folder: Path) -> None:
        """Return once it says that it is ready."""
        self.folder = folder
        self.process = subprocess.Popen(
            start("up"),
            cwd=folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if line.startswith("Publish something"):
                break
        assert self.lines, self.process.stderr.read() if self.process.stderr else ""
        self.url = self.lines[0].split()[-1]

    def children(self) -> list[psutil.Process]:
        """Every process below it."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def child(self, words: str) -> psutil.Process:
        """The direct child whose command has these words."""
        return next(p for p in psutil.Process(self.process.pid).children() if words in " ".join(p.cmdline()))

    def get(self, path: str) -> bytes:
        """The body at a path."""
        with urlopen(self.url + path, timeout=5) as answer:
            return bytes(answer.read())

    def end(self) -> None:
        """Stop it whatever it does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One instance for the tests of this file that leave it running."""
    running = Up(tmp_path_factory.mktemp("up"))
    yield running
    running.end()


def settled(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """The articles of a `--json` answer, all of them settled."""
    articles: list[dict[str, Any]] = json.loads(done.stdout)["articles"]
    assert {o["state"] for a in articles for o in a["outlets"]} <= {"settled", "skipped"}
    return articles


def until(what: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for it."""
    ends = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.05)


def test_demo_once_prints_every_outlet_as_json_and_leaves_nothing_running(tmp_path: Path) -> None:
    """Exit code 0, JSON alone on standard output, each outlet with its URL and seconds."""
    done = pressrun(tmp_path, "demo", "--once", "--json")
    assert done.returncode == 0, done.stderr
    articles = settled(done)
    assert len(articles) == 7
    for article in articles:
        for outlet in article["outlets"]:
            assert outlet["state"] == "skipped" or outlet["seconds"] >= 0
            assert outlet["state"] == "skipped" or outlet["url"].startswith("http")
            assert outlet.get("gone", False) is (article["state"] == "withdrawn" and outlet["state"] == "settled")
    assert not [p for p in psutil.process_iter(["cwd"]) if p.info["cwd"] == str(tmp_path)]


def test_what_was_published_is_in_feeds_on_both_mirrors_and_in_the_share_payloads(up: Up) -> None:
    """The samples, by the command of the README."""
    done = pressrun(up.folder, "publish", *map(str, EXAMPLES), "--wait", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    articles = settled(done)
    live = {a["id"] for a in articles if a["state"] == "live"}
    for extension in ("rss", "atom"):
        parsed = feedparser.parse(up.get(f"demo/feeds/all.{extension}"))
        assert not parsed.bozo
        assert live <= {e.id.rpartition("/")[2] for e in parsed.entries}
    shown = {i["id"].rpartition("/")[2] for i in json.loads(up.get("demo/feeds/all.json"))["items"]}
    assert live <= shown
    assert not shown & {a["id"] for a in articles if a["state"] == "withdrawn"}
    for article in articles:
        urls = {o["outlet"]: o["url"] for o in article["outlets"]}
        if article["state"] == "live":
            for mirror in ("one", "two"):
                page = up.get(urls[f"demo/mirror:{mirror}"].removeprefix(up.url)).decode()
                assert f'<link rel="{"canonical" if mirror == "one" else "alternate"}' in page
            assert len(json.loads(up.get(urls["demo/network:x"].removeprefix(up.url)))["shares"]) == 8


def test_a_second_instance_is_told_so(up: Up) -> None:
    """Exit code 3 and a sentence; the first goes on."""
    done = pressrun(up.folder, "up")
    assert done.returncode == 3
    assert "already running" in done.stderr
    assert up.process.poll() is None


def test_who_died_is_named_with_the_log_that_tells_why(up: Up) -> None:
    """The broker's is not beside the others."""
    data = up.folder / ".pressrun"
    for words, name, log in (("unixsocket", "broker", data / "broker.log"), ("reach@", "reach", data / "logs" / "reach.log")):
        up.child(words).kill()
        assert up.process.stderr is not None
        told = next(line for line in up.process.stderr if line.startswith(f"{name} died"))
        assert told == f"{name} died and was started again; its log is {log}\n"
        assert log.is_file()
        until(lambda: pressrun(up.folder, "doctor").returncode == 0)


def test_killing_broker_web_and_workers_in_between_loses_nothing(up: Up) -> None:
    """Each is started again, and what was accepted is everywhere."""
    for words in ("craft@", "unixsocket", "reach@", "pipeline.web"):
        kill_while_publishing(up, words)
    done = pressrun(up.folder, "status", "killed-craft", "--json")
    assert settled(done)[0]["state"] == "live"


def kill_while_publishing(up: Up, words: str) -> None:
    """Accept an article, kill the child whose command has these words, and wait until it is back and the article out."""
    name = f"killed-{words.rstrip('@')}"
    body = json.loads(EXAMPLES[0].read_text())
    body["data"]["id"] = name
    file = up.folder / f"{name}.json"
    file.write_text(json.dumps(body))
    until(lambda: pressrun(up.folder, "publish", str(file)).returncode == 0)
    victim = up.child(words)
    victim.kill()
    below = psutil.Process(up.process.pid)
    until(lambda: any(words in " ".join(p.cmdline()) for p in below.children() if p.pid != victim.pid))
    until(lambda: pressrun(up.folder, "status", name).returncode == 0, 60)


def test_withdraw_takes_it_back_everywhere_and_status_says_when(up: Up) -> None:
    """Gone from feeds, 410 at the mirrors, no share payloads, and the seconds it took."""
    pressrun(up.folder, "publish", str(EXAMPLES[0]), "--wait")
    article = json.loads(EXAMPLES[0].read_text())["data"]["id"]
    done = pressrun(up.folder, "withdraw", article, "--reason", "It was about another boat.", "--json")
    assert done.returncode == 0, done.stdout
    found = settled(pressrun(up.folder, "status", article, "--json"))[0]
    assert found["state"] == "withdrawn"
    assert all(o["seconds"] is not None for o in found["outlets"] if o["state"] == "settled")
    assert article not in up.get("demo/feeds/all.json").decode()
    url = next(o["url"] for o in found["outlets"] if o["outlet"] == "demo/mirror:one")
    with pytest.raises(Exception, match="410"):
        up.get(url.removeprefix(up.url))
    assert pressrun(up.folder, "withdraw", "no-such-article").returncode == 1


def test_an_embargoed_article_is_waited_for_no_longer_than_needed(up: Up) -> None:
    """Waiting for its time is as it should be: 0, and until when. Sent again, it changes nothing, and JSON says so, too."""
    later = rfc3339(datetime.now(UTC).replace(microsecond=0) + timedelta(days=30))
    body = json.loads(EXAMPLES[8].read_text())["data"] | {"id": "embargoed", "embargo_until": later}
    file = up.folder / "embargoed.json"
    file.write_text(json.dumps(body))
    done = pressrun(up.folder, "publish", str(file), "--wait")
    assert done.returncode == 0, done.stdout
    assert f"waits until {later}" in done.stdout
    again = json.loads(pressrun(up.folder, "publish", str(file), "--wait", "--json").stdout)
    assert [(e["file"], e["status"]) for e in again["without_effect"]] == [(str(file), "unchanged")]
    assert again["without_effect"][0]["event_id"].startswith("ev_")
    assert again["without_effect"][0]["reason"]
    assert again["articles"][0]["waits_until"] == later


def test_without_waiting_each_event_is_named_with_its_status_address(up: Up) -> None:
    """What became of it is not known yet, and stands there."""
    done = pressrun(up.folder, "publish", str(EXAMPLES[8]), "--json")
    event = json.loads(done.stdout)["events"][0]
    assert (event["file"], event["status"]) == (str(EXAMPLES[8]), "accepted")
    assert json.loads(up.get(event["status_url"].removeprefix(up.url)))["event_id"] == event["event_id"]


def test_an_unknown_source_is_told_which_there_are(up: Up) -> None:
    """Exit code 2."""
    done = pressrun(up.folder, "publish", str(EXAMPLES[8]), "--source", "nope")
    assert done.returncode == 2
    assert done.stderr.strip() == "there is no source “nope”; there is newsroom"


def test_what_is_not_published_yet_is_its_users_alone(up: Up) -> None:
    """The data folder and the ledger in it."""
    data = up.folder / ".pressrun"
    assert data.stat().st_mode & 0o777 == 0o700
    assert (data / "ledger.sqlite").stat().st_mode & 0o777 == 0o600


def test_verify_finds_and_mends_drift(up: Up) -> None:
    """A page that somebody changed behind our back."""
    pressrun(up.folder, "publish", str(EXAMPLES[8]), "--wait")
    assert pressrun(up.folder, "verify", "one").returncode == 0
    page = next(p for p in (up.folder / ".pressrun/mirrors/demo/one").glob("*/index.html") if not (p.parent / ".gone").exists())
    right = page.read_bytes()
    page.write_bytes(b"defaced")
    done = pressrun(up.folder, "verify", "one")
    assert done.returncode == 1
    assert page.parent.name in done.stdout
    until(lambda: page.read_bytes() == right)
    until(lambda: pressrun(up.folder, "verify", "one").returncode == 0)


def test_doctor_and_the_offline_verbs(up: Up, tmp_path: Path) -> None:
    """Everything an operator asks for answers, and says no where no is the answer."""
    assert pressrun(up.folder, "doctor").returncode == 0
    assert "good" in pressrun(up.folder, "config", "check").stdout
    assert "whsec_" not in pressrun(up.folder, "config", "show").stdout
    assert pressrun(up.folder, "validate", *map(str, EXAMPLES)).returncode == 0
    bad = tmp_path / "bad.json"
    bad.write_text('{"id": "x", "headlin": "typo"}')
    done = pressrun(up.folder, "validate", str(bad))
    assert done.returncode == 1
    assert "headline" in done.stdout
    routes = json.loads(pressrun(up.folder, "explain", str(EXAMPLES[0]), "--json").stdout)["routes"]
    assert {r["outlet"]: r["takes"] for r in routes}["demo/feed:world"] is True
    assert pressrun(up.folder, "preview", str(EXAMPLES[0]), "--out", str(tmp_path / "out")).returncode == 0
    assert len(list((tmp_path / "out" / "shares").iterdir())) == 8
    assert pressrun(up.folder, "drain").returncode == 0
    assert pressrun(tmp_path, "status").returncode == 2
    refused = pressrun(up.folder, "publish", str(bad), "--wait")
    assert refused.returncode == 1
    assert "REJECTED" in refused.stdout


def test_ctrl_c_before_it_is_ready_ends_it_without_calling_it_ready(tmp_path: Path) -> None:
    """What begins “Pressrun is ready” would be a lie."""
    with subprocess.Popen(start("up"), cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        until((tmp_path / ".pressrun" / "logs" / "web.log").exists)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert said == "Stopping …\n"
    assert process.returncode == 0


def test_demo_ends_with_where_to_look_and_how_to_stop_it(tmp_path: Path) -> None:
    """A page at a mirror and a feed, both there, and no more to search for above."""
    with subprocess.Popen(start("demo"), cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line)
            if "Ctrl-C" in line and "stays up" in line:
                break
        page, feed = (line.split()[-1] for line in lines[-3:-1])
        assert "/mirrors/demo/" in page
        assert page.endswith("/")
        assert feed.endswith(".rss")
        for url in (page, feed):
            with urlopen(url, timeout=5) as answer:
                assert answer.status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def test_ctrl_c_stops_everything(tmp_path: Path) -> None:
    """The supervisor ends with 0 and no child outlives it."""
    running = Up(tmp_path)
    try:
        below = running.children()
        assert len(below) >= 4
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(30) == 0
        _, alive = psutil.wait_procs(below, timeout=5)
        assert not alive
    finally:
        running.end()
    lines = [line for log in (tmp_path / ".pressrun/logs").glob("*.log") for line in log.read_text().splitlines()]
    assert "Warm shutdown" in "".join(lines)
    for line in lines:
        assert json.loads(line)["event"], line


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a parent's death")
def test_children_die_with_a_killed_supervisor(tmp_path: Path) -> None:
    """SIGKILL leaves no orphan, and the next start on the folder works."""
    running = Up(tmp_path)
    below = running.children()
    running.process.kill()
    running.process.wait(10)
    _, alive = psutil.wait_procs(below, timeout=15)
    assert not alive
    running.end()
    again = Up(tmp_path)
    again.end()
    assert again.process.returncode == 0
