"""The one checker of what must hold after every test of faults, whatever was killed meanwhile.

    I1  every acknowledged event is stored, once, and its article's newest revision is the newest that was acknowledged
    I2  every delivery is settled, skipped, failed or unknown, and says why
    I3  every outlet serves the newest text of each article, once, and nothing of what was withdrawn
    I4  nothing is posted twice: this version posts nothing, so nothing may be `posting` or `unknown`
    I5  every read of every feed was well-formed, and never older than the one before
    I6  no temporary file, lease, claim or unacknowledged message is left
    I7  is for the test itself: what it measured at the healthy outlets while others were broken
    I8  every process is up, or was started again; the web process says that it is ready

The oracle is the newsroom's own order of actions (`newsroom_order`): it knows nothing of how we order revisions.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from pipeline.ledger import tables
from tasks import broker
from tests.faults.looking import held_leases, loose_ends, sweep, temporary_files
from tests.faults.newsroom_order import WORLD, Oracle
from tests.faults.reading import MARK, TYPES, items

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tests.faults.load import Load
    from tests.faults.newsroom_order import Action, Text
    from tests.faults.reading import Reader
    from tests.faults.scoreboard import Score
    from tests.support.running import Running

TAKEN = 4
"""Messages both workers may have in their hands at one moment. What a killed one had comes back after the visibility timeout
of 120 s; it is a nudge, nothing waits for it, so it is bounded here and not waited for."""

QUEUES = ("validate", "feeds", "hub", "mirrors", "social", "upkeep")


def judge(room: Running, load: Load, score: Score, readers: Iterable[Reader] = ()) -> None:
    """Wait until there is nothing left to do, look at everything, and count what is wrong in the score."""
    if not room.wait(lambda: not room.open_work(load.site)):
        score.count("stuck", [f"there is still work: {room.open_work(load.site)}"])
    if not room.wait(lambda: broker.ping(room.broker_url), 20):  # a test's last fault may have ended it a moment ago
        score.count("stuck", ["the broker is not back"])
    score.count("lost", load.bad)
    score.count("lost", missing_events(room, load))
    score.count("double", doubled(room, load))
    score.count("stuck", loose_ends(room.context, load.site))
    score.count("stuck", leftovers(room, load.site))
    expected = Expected(load)
    for kind, problem in outlets(room, load, expected):
        score.count(kind, [problem])
    score.count("malformed", [fault for reader in readers for fault in reader.faults])
    score.count("stuck", asleep(room))


class Expected:
    """What follows from the acknowledged actions alone. `open`: articles whose newest action nobody acknowledged: either is right."""

    def __init__(self, load: Load) -> None:
        """Ask the oracle."""
        oracle = Oracle()
        self.first: dict[str, Action] = {}
        for action in load.actions:
            self.first.setdefault(action.article, action)
        for action in load.acknowledged():
            oracle.deliver(action)
        self.newest = oracle.newest
        self.open = {a.article for a in load.unanswered() if a.article not in self.newest or self.newest[a.article].number < a.number}
        self.live: dict[str, Text] = {name: text for name, text in oracle.live().items() if name not in self.open}

    def order(self, names: Iterable[str]) -> list[str]:
        """Newest published first, as a feed has them."""
        return sorted(names, key=lambda name: self.first[name].at, reverse=True)

    def of(self, *, world: bool = False, news: bool = False) -> dict[str, str]:
        """Article → the mark of its text, for those a place takes."""
        return {
            name: text.mark
            for name, text in self.live.items()
            if (not world or text.section == WORLD) and (not news or text.section[0] == "News")
        }


def missing_events(room: Running, load: Load) -> Iterator[str]:
    """I1: acknowledged and not stored, or stored and not what the article is now."""
    e, a, r = tables.events.c, tables.articles.c, tables.revisions.c
    with room.context.ledger.read() as tx:
        stored = {row.webhook_id: row.state for row in tx.all(select(e.webhook_id, e.state).where(e.source == load.site))}
        heads = {
            row.cms_id: row
            for row in tx.all(
                select(a.cms_id, r.headline, r.kind)
                .join(tables.revisions, (r.article_id == a.id) & (r.number == a.newest))
                .where(a.site == load.site)
            )
        }
    for action in load.acknowledged():
        state = stored.get(load.webhook_id(action))
        if state is None or state in {"waiting", "rejected"}:
            yield f"{load.webhook_id(action)} was acknowledged and is {state or 'not stored'}"
    expected = Expected(load)
    for name, action in expected.newest.items():
        if name in expected.open:
            continue
        head = heads.get(name)
        if head is None:
            yield f"{name} has no article"
        elif action.text is None and head.kind != "withdrawn":
            yield f"{name} was withdrawn last and is {head.kind}"
        elif action.text is not None and f"{action.text.mark}" not in head.headline:
            yield f"{name} says {head.headline!r} and was last told as {action.text.mark}"


def doubled(room: Running, load: Load) -> Iterator[str]:
    """I1: an event stored twice, or more revisions of an article than different things were said of it."""
    e, a, r = tables.events.c, tables.articles.c, tables.revisions.c
    count = func.count().label("n")
    with room.context.ledger.read() as tx:
        events = tx.all(select(e.webhook_id, count).where(e.source == load.site).group_by(e.webhook_id).having(func.count() > 1))
        revisions = tx.all(
            select(a.cms_id, count).join(tables.revisions, r.article_id == a.id).where(a.site == load.site).group_by(a.cms_id)
        )
    yield from (f"the event {row.webhook_id} is stored {row.n} times" for row in events)
    said = Counter(action.article for action in load.actions)
    here = [row for row in revisions if row.cms_id in said]  # a shared room has articles of other tests
    yield from (f"{row.cms_id} has {row.n} revisions of {said[row.cms_id]} actions" for row in here if row.n > said[row.cms_id])


def leftovers(room: Running, site: str) -> Iterator[str]:
    """I4 and I6. A killed writer's temporary file is upkeep's to find, once an hour."""
    if room.killed:
        sweep(room.context)
    # Another site of a shared room may be writing just now, as its sitemap ages: what was left stays, what is written is renamed.
    if not room.wait(lambda: not temporary_files(room.context), 5):
        yield from (f"a temporary file is left: {path}" for path in temporary_files(room.context))
    # A feed is packed when it has been still for 2 s: for that moment somebody has its lease, and rightly so.
    if not room.wait(lambda: not held_leases(room.context, site), 15):
        yield from (f"a lease is left: {key}" for key in held_leases(room.context, site))
    url = room.broker_url
    room.wait(lambda: sum(unread(url).values()) <= len(QUEUES), 20)
    if sum((waiting := unread(url)).values()) > len(QUEUES) * 4:
        yield f"messages are left: {waiting}"
    with broker._client(url, 5.0) as client:
        unacked = int(client.hlen("unacked"))
    if unacked > (most := TAKEN * (1 + len(room.died) + room.killed)):
        yield f"{unacked} messages are unacknowledged, and at most {most} can have been in somebody's hands"


def unread(url: str) -> dict[str, int]:
    """Queue → messages nobody has read yet, where there are any."""
    return {queue: n for queue in QUEUES if (n := broker.queue_length(url, queue, 5.0))}


def outlets(room: Running, load: Load, expected: Expected) -> Iterator[tuple[str, str]]:
    """I3 at each outlet: ("lost" | "double" | "malformed", what is wrong)."""
    for name, world in (("all", False), ("world", True)):
        for extension in TYPES:
            yield from feed(room, load, expected, f"{name}.{extension}", expected.of(world=world))
    yield from _pages(room, load, expected)
    yield from _shares(room, load, expected)


def feed(room: Running, load: Load, expected: Expected, file: str, marks: dict[str, str]) -> Iterator[tuple[str, str]]:
    """I3 at a feed in one format: each article stands once, in the live document or on an archive page (RFC 5005 section 4)."""
    prefix = load.actions[0].article.rpartition("-")[0]
    shown: dict[str, int] = {}
    for name in (file, *_archive(room, load, file)):
        answer = room.get(f"/{load.site}/feeds/{name}")
        try:
            found = items(file.rpartition(".")[2], answer.body) if answer.status == 200 else []
        except (ValueError, KeyError) as error:
            yield "malformed", f"{name}: {error}"
            return
        here = {identity.rpartition("/")[2]: number for identity, number in found if f"/{prefix}-" in identity}
        if len(found) != len({identity for identity, _ in found}) or here.keys() & shown.keys():
            yield "double", f"{name}: an entry twice"
        if list(here) != expected.order(here):
            yield "malformed", f"{name}: not newest first"
        shown |= here
    yield from (("lost", f"{file}: {name} is neither in it nor in its archive") for name in marks if name not in shown)
    for name, number in shown.items():
        if name not in expected.open and marks.get(name) != f"{prefix}w{number}w":
            yield "lost", f"{file}: {name} stands as {prefix}w{number}w, not as {marks.get(name, 'absent')}"


def _archive(room: Running, load: Load, file: str) -> list[str]:
    """The names of a feed's archive pages in the same format."""
    name, _, extension = file.rpartition(".")
    folder = room.context.settings.origin / load.site / "feeds"
    return sorted(path.name for path in folder.glob(f"{name}-[0-9]*.{extension}"))


def _pages(room: Running, load: Load, expected: Expected) -> Iterator[tuple[str, str]]:
    root = room.context.settings.data / "mirrors" / load.site / "one"
    yield from pages_in(root, load, expected, expected.of(news=True))


def pages_in(root: Path, load: Load, expected: Expected, marks: dict[str, str]) -> Iterator[tuple[str, str]]:
    """I3 at a mirror whose files lie in a folder: exactly these articles' pages stand there, each once, with these marks."""
    standing: dict[str, list[str]] = {}
    for page in root.glob("*/index.html"):
        text = page.read_text()
        found = sorted({match[0] for match in MARK.finditer(text)})
        if found and not (page.parent / ".gone").exists() and 'http-equiv="refresh"' not in text:
            name = re.sub(r"-(first|second)-name-[a-z0-9]{10}$", "", page.parent.name)
            standing.setdefault(name, []).extend(found)
    prefix = load.actions[0].article.rpartition("-")[0]
    standing = {name: found for name, found in standing.items() if name.startswith(f"{prefix}-") and name not in expected.open}
    yield from (("lost", f"{root.name} has no page of {name}") for name in marks if name not in standing)
    for name, texts in standing.items():
        if len(texts) > 1:
            yield "double", f"{root.name} shows {name} as {texts}"
        elif texts[0] != marks.get(name):
            yield "lost", f"{root.name} shows {name} as {texts[0]}, not as {marks.get(name, 'absent')}"


def _shares(room: Running, load: Load, expected: Expected) -> Iterator[tuple[str, str]]:
    d, a = tables.documents.c, tables.articles.c
    live = expected.of()
    for network, wanted in (("x", live), ("email", expected.of(world=True))):
        with room.context.ledger.read() as tx:
            rows = tx.all(
                select(a.cms_id, d.body)
                .join(tables.articles, a.id == d.article_id)
                .where(d.outlet == f"{load.site}/network:{network}", d.status == "live")
            )
        shown = {row.cms_id: {match[0] for match in MARK.finditer(json.dumps(json.loads(bytes(row.body))))} for row in rows}
        yield from (("lost", f"{network} has no payload of {name}") for name in wanted if name not in shown)
        for name, found in shown.items():
            if name not in expected.open and name in expected.first and found - {live.get(name)}:
                yield "lost", f"{network} shows {name} as {sorted(found)}, not as {live.get(name, 'absent')}"


def asleep(room: Running) -> Iterator[str]:
    """I8: who is not up."""
    room.wait(lambda: room.get("/readyz").status == 200, 10)
    room.died += room.supervisor.look()
    if (answer := room.get("/readyz")).status != 200:
        yield f"not ready: {answer.body[:200]!r}"
    yield from (f"{name} is not up" for name, child in room.supervisor.children.items() if child.process.poll() is not None)
