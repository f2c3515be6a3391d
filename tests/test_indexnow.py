"""IndexNow: search engines are told of every address that is new, changed or gone, and the ledger knows which they were told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, select, update
from starlette.testclient import TestClient

from pipeline import indexnow, upkeep, validate
from pipeline import settings as settings_file
from pipeline.context import register
from pipeline.ledger import deliveries, tables, views
from pipeline.model.errors import ConfigError
from pipeline.model.run import Nudge, Step
from pipeline.web.app import make_app
from tasks.drain import drain
from tests.conftest import CONFIG, START, Newsroom, article, settings_in
from tests.support.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.model.settings import IndexNow

KEY = "0123456789abcdef"
OUTLET = "demo/indexnow:all"
HOST, OLD_HOST = "www.example.org", "old.example.org"
HOME = f"https://{HOST}/news/quiet-harbour.html"
TWO_HOSTS = CONFIG.replace("[sites.demo]\n", f'url_hosts = ["{HOST}", "{OLD_HOST}"]\n[sites.demo]\n')


def with_indexnow(engine: Engine, text: str = CONFIG, **options: str) -> str:
    """A configuration with an IndexNow outlet that tells this engine."""
    lines = {"key": KEY, "endpoint": engine.url, **options}
    table = "".join(f'{name} = "{value}"\n' for name, value in lines.items())
    text = text.replace("[server]\n", f'[server]\nallow_hosts = ["{engine.authority}"]\n')
    return f"{text}[sites.demo.indexnow.all]\n{table}"


@pytest.fixture
def engine() -> Iterator[Engine]:
    """An engine that finds our key at our host."""
    with Engine({HOST: KEY}) as made:
        yield made


@pytest.fixture(params=["sqlite", "postgres"])
def room(request: pytest.FixtureRequest, engine: Engine, tmp_path: Path, make_newsroom: Callable[..., Newsroom]) -> Newsroom:
    """A newsroom that tells this engine, over each database."""
    url = request.getfixturevalue("postgres") if request.param == "postgres" else f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    made: Newsroom = make_newsroom(with_indexnow(engine), url)
    return made


@pytest.fixture
def small(engine: Engine, make_newsroom: Callable[..., Newsroom]) -> Newsroom:
    """The same over SQLite in memory."""
    return make_newsroom(with_indexnow(engine))


def line(room: Newsroom, cms_id: str = "a-1") -> views.OutletStatus:
    """What the ledger says of an article and IndexNow."""
    return next(o for o in room.status(cms_id).outlets if o.outlet == OUTLET)


def later(room: Newsroom, seconds: float) -> None:
    """Let time pass, and run what is due then."""
    room.clock.move(seconds)
    room.drain()


def change(room: Newsroom, **options: object) -> None:
    """Go on with another configuration of the outlet."""
    site = room.context.settings.sites[0]
    told: list[IndexNow] = [replace(one, **options) for one in site.indexnow]  # type: ignore[arg-type]
    room.context.settings = replace(room.context.settings, sites=(replace(site, indexnow=tuple(told)),))
    register(room.context)


def test_what_is_published_corrected_and_withdrawn_is_told(room: Newsroom, engine: Engine) -> None:
    """Each time its address, with host and key; the ledger says that it was told, and in the end that it is gone."""
    room.send("published", article())
    room.drain()
    assert [(t.host, t.urls, t.location, t.status) for t in engine.told] == [(HOST, (HOME,), None, 200)]
    assert (line(room).state, line(room).url, line(room).gone) == ("settled", HOME, False)
    room.clock.move(60)
    room.send("corrected", article(headline="A quieter harbour", correction={"note": "It was quieter.", "at": "2026-11-23T08:01:00Z"}))
    room.drain()
    assert engine.urls == [HOME, HOME]
    room.clock.move(60)
    room.send("withdrawn", {"id": "a-1"})
    room.drain()
    assert engine.urls == [HOME, HOME, HOME]
    assert (line(room).state, line(room).gone, line(room).reason) == ("settled", True, "The article is withdrawn.")
    assert room.status().settled
    later(room, 3600)
    assert len(engine.told) == 3


def test_an_article_that_moves_is_told_of_under_both_addresses(room: Newsroom, engine: Engine) -> None:
    """Also those it had while nobody was told."""
    room.send("published", article())
    room.drain()
    for number in (2, 3):
        room.clock.move(60)
        room.send("updated", article(url=f"https://{HOST}/news/harbour-{number}.html", headline=f"Harbour {number}"))
        validate.run(room.context, ("newsroom",))
    room.drain()
    assert engine.told[1].urls == (HOME, f"https://{HOST}/news/harbour-2.html", f"https://{HOST}/news/harbour-3.html")
    assert line(room).url == f"https://{HOST}/news/harbour-3.html"


def test_each_host_is_told_of_by_itself(make_newsroom: Callable[..., Newsroom], engine: Engine) -> None:
    """A request is about one host, and the key is looked for there."""
    engine.keys = {HOST: KEY, OLD_HOST: KEY}
    room = make_newsroom(with_indexnow(engine, TWO_HOSTS))
    room.send("published", article(url=f"https://{OLD_HOST}/1"))
    room.drain()
    room.clock.move(60)
    room.send("updated", article(headline="It moved", url=f"https://{HOST}/1"))
    room.drain()
    assert [(t.host, t.urls) for t in engine.told[1:]] == [(OLD_HOST, (f"https://{OLD_HOST}/1",)), (HOST, (f"https://{HOST}/1",))]


def test_the_place_of_the_key_is_told_for_its_own_host_only(make_newsroom: Callable[..., Newsroom], engine: Engine) -> None:
    """At another host it would be refused; there the key stands at the root."""
    engine.keys = {HOST: KEY, OLD_HOST: KEY}
    place = f"https://{HOST}/{KEY}.txt"
    room = make_newsroom(with_indexnow(engine, TWO_HOSTS, key_location=place))
    room.send("published", article())
    room.send("published", article(id="a-2", url=f"https://{OLD_HOST}/2"))
    room.drain()
    assert {(t.host, t.location, t.status) for t in engine.told} == {(HOST, place, 200), (OLD_HOST, None, 200)}


def test_a_withdrawal_of_what_was_published_before_indexnow_is_told(make_newsroom: Callable[..., Newsroom], engine: Engine) -> None:
    """Search engines know the address from elsewhere; old articles themselves are no news and are not told of."""
    room = make_newsroom(with_indexnow(engine))
    told = room.context.settings.sites[0].indexnow
    site = replace(room.context.settings.sites[0], indexnow=())
    room.context.settings = replace(room.context.settings, sites=(site,))
    room.send("published", article())
    room.drain()
    room.context.settings = replace(room.context.settings, sites=(replace(site, indexnow=told),))
    register(room.context)
    later(room, 400)
    assert engine.told == []
    room.send("withdrawn", {"id": "a-1"})
    room.drain()
    assert engine.urls == [HOME]
    assert (line(room).state, line(room).gone, line(room).url) == ("settled", True, HOME)


def test_what_never_was_live_is_never_told(small: Newsroom, engine: Engine) -> None:
    """Neither under embargo nor when it is withdrawn before its hour, nor where nothing but a withdrawal is known."""
    small.send("published", article(embargo_until="2026-11-24T08:00:00Z"))
    small.drain()
    assert engine.told == []
    small.clock.move(60)
    small.send("withdrawn", {"id": "a-1"})
    small.send("withdrawn", {"id": "nobody-knows"})
    small.drain()
    assert engine.told == []
    assert {line(small).state, line(small, "nobody-knows").state} == {"settled"}


@pytest.mark.parametrize("status", [429, 503, 500])
def test_an_engine_that_is_busy_is_asked_again_when_it_says(room: Newsroom, engine: Engine, status: int) -> None:
    """Not before, and nobody's delivery fails for good."""
    engine.answers, engine.headers = [status], {"Retry-After": "120"}
    room.send("published", article())
    room.drain()
    assert (line(room).state, line(room).reason) == ("retrying", f'{engine.authority}: {status} {{"message": "as it was told to"}}')
    later(room, 100)
    room.send("published", article(id="a-2", url=f"https://{HOST}/2"))
    room.drain()
    assert len(engine.told) == 1  # it is left alone: also what is new waits
    later(room, 60)
    assert set(engine.urls) == {HOME, f"https://{HOST}/2"}
    assert {line(room).state, line(room, "a-2").state} == {"settled"}
    with room.context.ledger.read() as tx:
        assert OUTLET not in views.left_alone(tx)


def test_who_takes_something_again_is_told_at_once_of_all_that_waited(room: Newsroom, engine: Engine) -> None:
    """It had asked for an hour; what is new is tried after five minutes, and opens the way."""
    engine.answers, engine.headers = [503], {"Retry-After": "3600"}
    room.send("published", article())
    room.drain()
    later(room, 310)
    assert len(engine.told) == 1
    room.send("published", article(id="a-2", url=f"https://{HOST}/2"))
    room.drain()
    later(room, 4)
    assert set(engine.urls) == {HOME, f"https://{HOST}/2"}
    assert (line(room).state, line(room, "a-2").state) == ("settled", "settled")


def test_an_engine_that_is_away_for_days_is_told_in_the_end(small: Newsroom, engine: Engine) -> None:
    """It is asked every five minutes at most, once, however much waits."""
    engine.answers = [503] * 1000
    small.send("published", article())
    small.drain()
    for _ in range(40):
        later(small, 60)
    assert 5 < len(engine.told) < 20
    assert "left alone until" in line(small).reason or "503" in line(small).reason
    engine.answers = []
    later(small, 301)
    assert line(small).state == "settled"


def test_a_key_that_is_not_found_is_held_and_says_what_to_do(room: Newsroom, engine: Engine) -> None:
    """Nothing fails; once the file is there, what waited is told by itself within five minutes."""
    engine.keys = {}
    room.send("published", article())
    room.drain()
    assert line(room).state == "retrying"
    assert f"let https://{HOST}/{KEY}.txt answer with the key and nothing else" in line(room).reason
    for _ in range(20):
        later(room, 60)
    with room.context.ledger.read() as tx:
        left = views.left_alone(tx)[OUTLET]
    assert f"{KEY}.txt" in left.reason
    engine.keys = {HOST: KEY}
    later(room, 301)
    assert (line(room).state, engine.urls) == ("settled", [HOME])


def test_a_host_without_the_key_does_not_hold_up_another(make_newsroom: Callable[..., Newsroom], engine: Engine) -> None:
    """Its articles wait, and are not asked about all the time."""
    room = make_newsroom(with_indexnow(engine, TWO_HOSTS))
    room.send("published", article(id="a-1", url=f"https://{OLD_HOST}/1"))
    room.send("published", article(id="a-2", url=f"https://{HOST}/2"))
    room.drain()
    assert (line(room).state, line(room, "a-2").state) == ("retrying", "settled")
    for _ in range(29):
        later(room, 10)
    assert [t.status for t in engine.told] == [403, 200]
    engine.keys = {HOST: KEY, OLD_HOST: KEY}
    later(room, 20)
    assert line(room).state == "settled"


@pytest.mark.parametrize("status", [400, 413, 422])
def test_an_address_that_is_refused_fails_alone_with_the_reason(small: Newsroom, engine: Engine, status: int) -> None:
    """Its neighbours in the same request are told."""
    bad = f"https://{HOST}/7"
    engine.bad = frozenset([bad])
    if status != 422:
        engine.answers = []
    for number in range(20):
        small.send("published", article(id=f"a-{number}", url=f"https://{HOST}/{number}"))
    judge = engine._status
    engine._status = lambda *given: (status if (found := judge(*given))[0] == 422 else found[0], found[1])  # type: ignore[method-assign]
    small.drain()
    assert {f"a-{n}" for n in range(20) if line(small, f"a-{n}").state == "failed"} == {"a-7"}
    assert (str(status) in line(small, "a-7").reason, "don't belong" in line(small, "a-7").reason) == (True, True)
    assert sorted(engine.urls) == sorted(f"https://{HOST}/{n}" for n in range(20) if n != 7)
    asked = len(engine.told)
    later(small, 3600)
    assert len(engine.told) == asked
    engine.bad = frozenset()
    small.send("updated", article(id="a-7", url=bad, headline="Another text"))
    small.drain()
    assert line(small, "a-7").state == "settled"


def test_an_engine_that_refuses_everything_is_not_asked_about_each(small: Newsroom, engine: Engine) -> None:
    """After some halving what is left fails together."""
    engine.answers = [422] * 1000
    for number in range(100):
        small.send("published", article(id=f"a-{number}", url=f"https://{HOST}/{number}"))
    small.drain()
    assert len(engine.told) <= 2 * indexnow.SPLITS + 1
    with small.context.ledger.read() as tx:
        assert views.completeness(tx)[OUTLET] == {"failed": 100}


def many(room: Newsroom, count: int) -> None:
    """So many articles, of which the engine is to be told: rows as a plan leaves them."""
    room.send("published", article(id="m-0", url=f"https://{HOST}/m/0"))
    validate.run(room.context, ("newsroom",))
    with room.context.ledger.write() as tx:
        first = tx.first(select(tables.articles))
        text = tx.first(select(tables.revisions))
        row = tx.first(select(tables.deliveries).where(tables.deliveries.c.outlet == OUTLET))
        assert first is not None
        assert text is not None
        assert row is not None
        ids = range(first.id + 1, first.id + count)
        tx.each(
            tables.articles.insert(),
            [{**first._mapping, "id": i, "cms_id": f"m-{i}", "identity": f"m-{i}", "short_id": f"m-{i}", "live": i} for i in ids],
        )
        url = {i: {**text.content, "url": f"https://{HOST}/m/{i}"} for i in ids}
        tx.each(tables.revisions.insert(), [{**text._mapping, "id": i, "article_id": i, "content": url[i]} for i in ids])
        tx.each(tables.deliveries.insert(), [{**row._mapping, "article_id": i, "wanted": i} for i in ids])


def test_ten_thousand_addresses_go_in_one_request_and_one_more_in_a_second(room: Newsroom, engine: Engine) -> None:
    """That is what the protocol allows; every commit holds two hundred rows at most."""
    many(room, 10_001)
    rows: list[int] = []
    settle = deliveries.settle

    def counting(tx: object, outlet: str, settled: list[deliveries.Settled]) -> None:
        rows.append(len(settled))
        settle(tx, outlet, settled)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deliveries, "settle", counting)
        drain(room.context, [Nudge(Step.HUB, (OUTLET,))])
    assert [len(t.urls) for t in engine.told] == [10_000, 1]
    assert {t.status for t in engine.told} == {200}
    assert len(set(engine.urls)) == 10_001
    assert max(rows) <= 200
    with room.context.ledger.read() as tx:
        assert views.completeness(tx)[OUTLET] == {}


def test_no_request_has_more_addresses_than_that_where_articles_have_several(
    small: Newsroom, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two articles that moved are four addresses."""
    monkeypatch.setattr(indexnow, "MOST", 2)
    for turn in ("old", "new"):
        for number in range(2):
            small.send("published", article(id=f"a-{number}", url=f"https://{HOST}/{turn}/{number}", headline=turn))
            validate.run(small.context, ("newsroom",))
        small.clock.move(60)
    small.drain()
    assert [len(t.urls) for t in engine.told] == [2, 2]
    assert {line(small, f"a-{n}").state for n in range(2)} == {"settled"}


def test_a_run_that_dies_after_the_request_is_repeated(room: Newsroom, engine: Engine) -> None:
    """At least once: nothing is lost, and to be told twice harms no search engine. The run after it is careful."""
    for number in range(3):
        room.send("published", article(id=f"a-{number}", url=f"https://{HOST}/{number}"))
    validate.run(room.context, ("newsroom",))

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deliveries, "settle", dies)
        with pytest.raises(KeyboardInterrupt):
            indexnow.run(room.context, (OUTLET,))
    assert len(engine.told) == 1
    assert line(room, "a-0").state == "pending"
    later(room, 6)
    assert [len(t.urls) for t in engine.told] == [3, 1, 1, 1]
    assert {line(room, f"a-{n}").state for n in range(3)} == {"settled"}


RUN = """
import sys
from pathlib import Path
from pipeline import indexnow
from pipeline.context import open_context
indexnow.run(open_context(Path(sys.argv[1])), (sys.argv[2],))
"""


def test_a_process_killed_between_request_and_settling_loses_nothing(
    tmp_path: Path, engine: Engine, make_newsroom: Callable[..., Newsroom]
) -> None:
    """A real process, ended while the engine answers it; the next run tells it again."""
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    room = make_newsroom(with_indexnow(engine), url)
    room.send("published", article())
    validate.run(room.context, ("newsroom",))
    file = room.context.settings.data.parent / "pressrun.toml"
    begun: list[subprocess.Popen[bytes]] = []
    started = threading.Event()

    def kill() -> None:
        assert started.wait(30)
        begun[0].kill()
        begun[0].wait(30)

    engine.taken = kill
    environment = {**os.environ, "PRESSRUN_DATABASE": url}
    begun.append(subprocess.Popen([sys.executable, "-c", RUN, str(file), OUTLET], env=environment))
    started.set()
    assert begun[0].wait(60) == -signal.SIGKILL
    assert (engine.urls, line(room).state) == ([HOME], "pending")
    engine.taken = lambda: None
    later(room, 60)
    assert (engine.urls, line(room).state) == ([HOME, HOME], "settled")


def test_what_changed_while_it_was_told_is_told_again(small: Newsroom, engine: Engine) -> None:
    """A withdrawal between request and settling is not taken for told."""
    small.send("published", article())
    validate.run(small.context, ("newsroom",))

    def withdrawn() -> None:
        engine.taken = lambda: None
        small.clock.move(60)
        small.send("withdrawn", {"id": "a-1"})
        validate.run(small.context, ("newsroom",))

    engine.taken = withdrawn
    small.drain()
    assert engine.urls == [HOME, HOME]
    assert line(small).gone


def test_a_closed_outlet_tells_nobody_and_may_go(small: Newsroom, engine: Engine) -> None:
    """Dropped at once it would leave rows that nobody brings to an end."""
    small.send("published", article())
    small.drain()
    site = small.context.settings.sites[0]
    small.context.settings = replace(small.context.settings, sites=(replace(site, indexnow=()),))
    with pytest.raises(ConfigError, match="indexnow:all"):
        register(small.context)
    small.context.settings = replace(small.context.settings, sites=(site,))
    change(small, closed=True)
    small.send("published", article(id="a-2", url=f"https://{HOST}/2"))
    later(small, 5)
    assert engine.urls == [HOME]
    assert (line(small).state, line(small).gone, line(small).reason) == ("settled", True, "The outlet is closed.")
    small.context.settings = replace(small.context.settings, sites=(replace(site, indexnow=()),))
    register(small.context)


def test_another_key_or_title_tells_nothing_again(small: Newsroom, engine: Engine) -> None:
    """A hundred thousand addresses would be, for nothing."""
    small.send("published", article())
    small.drain()
    engine.keys = {HOST: "another-key-of-ours"}
    change(small, key="another-key-of-ours")
    site = small.context.settings.sites[0]
    small.context.settings = replace(small.context.settings, sites=(replace(site, title="Another title"),))
    register(small.context)
    later(small, 60)
    assert engine.urls == [HOME]


def test_an_address_of_the_own_network_is_not_told(engine: Engine, make_newsroom: Callable[..., Newsroom]) -> None:
    """Unless the operator names it in allow_hosts; what to read there says why."""
    room = make_newsroom(with_indexnow(engine).replace("allow_hosts", "# allow_hosts"))
    room.send("published", article())
    room.drain()
    assert engine.told == []
    assert line(room).state == "retrying"
    assert "not one of 80 and 443" in line(room).reason


def test_a_publish_asks_the_ledger_no_more_often_with_indexnow_than_without(make_newsroom: Callable[..., Newsroom], engine: Engine) -> None:
    """It is a row more in the plan where it is configured, and nothing where it is not."""

    def asked(text: str) -> tuple[int, int]:
        room = make_newsroom(text)
        statements: list[str] = []
        connections = room.context.ledger._engine("write")

        def listen(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            statements.append(statement)

        room.send("published", article())
        event.listen(connections, "before_cursor_execute", listen)
        try:
            validate.run(room.context, ("newsroom",))
            upkeep.run(room.context)
        finally:
            event.remove(connections, "before_cursor_execute", listen)
        with room.context.ledger.read() as tx:
            return len(statements), len(tx.all(select(tables.deliveries)))

    without, with_it = asked(CONFIG), asked(with_indexnow(engine))
    assert (with_it[0] - without[0], with_it[1] - without[1]) == (0, 1)


def test_no_feed_or_page_is_made_anew_for_indexnow(tmp_path: Path, engine: Engine) -> None:
    """Nothing of it shows in any of them, so a start with it is as short as one without."""
    without, with_it = (settings_file.outlet_rows(settings_in(tmp_path, text)) for text in (CONFIG, with_indexnow(engine)))
    assert [row for row in with_it if row["kind"] != "indexnow"] == without


def test_the_key_stands_at_its_address(small: Newsroom) -> None:
    """Search engines look for it there; any other name is nobody's, and a closed outlet's too."""
    with TestClient(make_app(small.context, lambda _nudges: None)) as client:
        found = client.get(f"/{KEY}.txt")
        assert (found.status_code, found.text, found.headers["content-type"]) == (200, KEY, "text/plain; charset=utf-8")
        assert client.head(f"/{KEY}.txt").status_code == 200
        assert [client.get(path).status_code for path in ("/robots.txt", f"/{KEY}x.txt", "/.txt", f"/{KEY.upper()}.txt")] == [404] * 4
        change(small, closed=True)
        assert client.get(f"/{KEY}.txt").status_code == 404


HOSTILE = {
    "a short key": ("key", '"1234567"'),
    "a long key": ("key", f'"{"a" * 129}"'),
    "a key that leaves the folder": ("key", '"../../etc/passwd"'),
    "a key with a line's end": ("key", '"12345678\\n"'),
    "a key in other letters": ("key", '"ключ-ключ"'),
    "a key that is a number": ("key", "1234567890"),
    "an endpoint with a password": ("endpoint", '"https://u:p@api.example/indexnow"'),
    "an endpoint in a file": ("endpoint", '"file:///etc/passwd"'),
    "an endpoint without a host": ("endpoint", '"https:///indexnow"'),
    "an endpoint in other letters": ("endpoint", '"https://апи.example/indexnow"'),
    "an endpoint with a port that is none": ("endpoint", '"https://api.example:99999/indexnow"'),
    "an endpoint with a line's end": ("endpoint", '"https://api.example/\\r\\nX: 1"'),
    "an endpoint with a broken address": ("endpoint", '"https://[::1/indexnow"'),
    "an endpoint that is nothing": ("endpoint", '""'),
    "a place of the key without a path": ("key_location", '"https://www.example.org"'),
    "a place of the key with a password": ("key_location", '"https://u:p@www.example.org/k.txt"'),
    "an unknown option": ("keylocation", '"https://www.example.org/k.txt"'),
    "closed as a text": ("closed", '"yes"'),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_value_stops_the_start_with_its_line(tmp_path: Path, name: str) -> None:
    """Told with the option, and no password with it."""
    option, value = HOSTILE[name]
    lines = {"key": f'"{KEY}"', option: value}
    table = "".join(f"{key} = {text}\n" for key, text in lines.items())
    with pytest.raises(ConfigError) as told:
        settings_in(tmp_path, f"{CONFIG}[sites.demo.indexnow.all]\n{table}")
    assert f"indexnow.all.{option}" in str(told.value)
    assert "u:p@" not in str(told.value)


def test_a_clock_that_went_back_holds_nothing_up(small: Newsroom, engine: Engine) -> None:
    """What was put off by a clock in the future is due."""
    engine.answers = [503]
    small.send("published", article())
    small.drain()
    with small.context.ledger.write() as tx:
        far = START.replace(year=2031)
        tx.run(update(tables.deliveries).where(tables.deliveries.c.outlet == OUTLET).values(next_attempt_at=far))
    later(small, 60)
    assert line(small).state == "settled"
