"""The configuration: what is wrong is said with file, line and what was expected; secrets are never shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline import settings as settings_file
from pipeline.context import register
from pipeline.model.errors import ConfigError
from pipeline.rules import schema, verdict
from tests.conftest import CONFIG, SECRET, article, open_newsroom, settings_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Newsroom


def test_defaults_are_filled_in(tmp_path: Path) -> None:
    """Addresses that were not given follow from the others."""
    settings = settings_in(tmp_path)
    site = settings.sites[0]
    assert site.feeds_base == "http://127.0.0.1:8499/demo/feeds/"
    assert site.mirrors[0].base_url == "http://127.0.0.1:8499/mirrors/demo/one/"
    assert site.feeds[0].window == 50
    assert settings.sources[0].id_space == "newsroom"
    assert settings.database == f"sqlite:///{tmp_path}/data/ledger.sqlite"


WRONG = {
    "unknown key": ('tag_date = "2026-01-01"', 'tag_date = "2026-01-01"\ncolour = "red"', 15, "“colour” is not a known"),
    "wrong type": ("port = 8499", 'port = "many"', 4, "whole number"),
    "a network that is none": ("port = 8499", 'port = 8499\ntrusted_proxies = ["10.0.0.5/8"]', 5, "a network such as"),
    "wrong home": ('home_url = "https://www.example.org/"', 'home_url = "ftp://x/"', 10, "http"),
    "unknown site": ('site = "demo"', 'site = "dmo"', 6, "no site"),
    "unknown network": ("[sites.demo.networks.x]", "[sites.demo.networks.myspace]", 21, "Expected one of"),
    "bad name": ("[sites.demo.feeds.world]", "[sites.demo.feeds.World]", 17, "a-z"),
    "bad zone": ('language = "en"', 'language = "en"\ntimezone = "Mars/Base"', 12, "IANA"),
    "secret in clear": ("env:PRESSRUN_TEST_SECRET", "whsec_abc", 7, "env:NAME or file:PATH"),
    "missing field": ('tag_host = "example.org"\n', "", 8, "required"),
    "reserved": ("sites.demo", "sites.api", 8, "taken"),
}


def patterns(node: object) -> Iterator[dict[str, Any]]:
    """Every subschema with a pattern."""
    if isinstance(node, dict):
        if isinstance(node.get("pattern"), str):
            yield node
        for inner in node.values():
            yield from patterns(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from patterns(inner)


def test_no_form_is_told_as_an_expression(tmp_path: Path) -> None:
    """A person who mistyped an option is told in words what stands there."""
    for where in patterns(schema.documents()["config.v1.json"]):
        assert where["pattern"] in verdict.PATTERNS or where.get("description"), where
    with pytest.raises(ConfigError, match=r"server\.allow_hosts\.0: “127\.0\.0\.1” is not in the form expected here: host:port, such as"):
        settings_in(tmp_path, CONFIG.replace("port = 8499", 'port = 8499\nallow_hosts = ["127.0.0.1"]'))
    with pytest.raises(ConfigError, match="feeds_url: “x” is not in the form expected here: an http or https URL that ends with a slash"):
        settings_in(tmp_path, CONFIG.replace('language = "en"', 'language = "en"\nfeeds_url = "x"'))


def test_an_address_below_an_outlet_follows_the_configuration(tmp_path: Path) -> None:
    """Of an outlet it no longer has, and of what was never put anywhere, only the ledger knows."""
    settings = settings_in(tmp_path)
    gone = "https://old.test/x-aaaaaaaaaa/"
    assert settings.address("demo/mirror:one", gone) == "http://127.0.0.1:8499/mirrors/demo/one/x-aaaaaaaaaa/"
    assert settings.address("demo/feed:all", "https://old.test/all.rss") == "http://127.0.0.1:8499/demo/feeds/all.rss"
    assert settings.address("demo/network:x", "https://old.test/a.json") == "http://127.0.0.1:8499/demo/shares/a.json"
    assert settings.address("demo/mirror:two", gone) == gone
    assert settings.address("other/mirror:one", gone) == gone
    assert settings.address("demo/mirror:one", "") == ""


@pytest.mark.parametrize("name", WRONG)
def test_a_fault_is_told_with_its_line(tmp_path: Path, name: str) -> None:
    """File, line, key, and what was expected."""
    before, after, line, words = WRONG[name]
    text = CONFIG.replace(before, after)
    if name == "reserved":
        text = text.replace('site = "demo"', 'site = "api"')
    assert text != CONFIG
    with pytest.raises(ConfigError) as caught:
        settings_in(tmp_path, text)
    said = str(caught.value)
    assert words in said
    assert f"pressrun.toml:{line}:" in said
    assert "whsec" not in said or name == "secret in clear"


def test_a_syntax_error_names_line_and_column(tmp_path: Path) -> None:
    """From the TOML reader itself."""
    for text, line in (("\ndata = \n", 2), ("data = [1,\n2", 2), ("a = 1\nb = 2\nb = 3", 3), ("", 1)):
        with pytest.raises(ConfigError, match=rf"pressrun\.toml:{line}: "):
            settings_in(tmp_path, text)
    with pytest.raises(ConfigError, match="column 8"):
        settings_in(tmp_path, "\ndata = \n")


def test_a_file_that_is_not_text_is_a_fault_with_its_line(tmp_path: Path) -> None:
    """And no traceback."""
    path = tmp_path / "pressrun.toml"
    path.write_bytes(b'data = "data"\ntitle = "\xff"\n')
    with pytest.raises(ConfigError, match=r"pressrun\.toml:2: this is not UTF-8"):
        settings_file.load(path)


def test_every_secret_that_is_not_there_is_told_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All at once; what came from the environment is told by the variable's name."""
    text = CONFIG.replace("env:PRESSRUN_TEST_SECRET", "file:secrets/none")
    text = text.replace('data = "data"', 'data = "data"\napi_token = "env:NOT_THERE"\ndatabase = "file:none"')
    mirror = 'backend = "http"\ntarget = "https://m.example/"\nbase_url = "https://m.example/"\ntoken = "env:NEITHER"'
    text = text.replace("[sites.demo.mirrors.one]", f"[sites.demo.mirrors.one]\n{mirror}")
    with pytest.raises(ConfigError) as caught:
        settings_in(tmp_path, text)
    lines = text.splitlines()
    expected = [
        (lines.index('api_token = "env:NOT_THERE"'), "api_token: environment variable NOT_THERE is not set"),
        (lines.index('database = "file:none"'), "database: file "),
        (lines.index('secrets = ["file:secrets/none"]'), "sources.newsroom.secrets.0: file "),
        (lines.index('token = "env:NEITHER"'), "sites.demo.mirrors.one.token: environment variable NEITHER is not set"),
    ]
    for said, (line, words) in zip(str(caught.value).splitlines(), expected, strict=True):
        assert said.startswith(f"{tmp_path / 'pressrun.toml'}:{line + 1}: {words}")
    monkeypatch.setenv("PRESSRUN_DATABASE", "env:NOWHERE")
    with pytest.raises(ConfigError, match=r"^PRESSRUN_DATABASE: database: environment variable NOWHERE is not set$"):
        settings_in(tmp_path)


def test_a_missing_secret_says_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name, never by value."""
    with pytest.raises(ConfigError, match="NOT_THERE is not set"):
        settings_in(tmp_path, CONFIG.replace("PRESSRUN_TEST_SECRET", "NOT_THERE"))
    monkeypatch.setenv("NOT_THERE", "nonsense-that-is-secret")
    with pytest.raises(ConfigError) as caught:
        settings_in(tmp_path, CONFIG.replace("PRESSRUN_TEST_SECRET", "NOT_THERE"))
    assert "nonsense-that-is-secret" not in str(caught.value)


def test_the_environment_overrides_what_is_the_deployments_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Database, broker, data folder, address."""
    monkeypatch.setenv("PRESSRUN_PUBLIC_URL", "https://press.example.net/")
    monkeypatch.setenv("PRESSRUN_DATABASE", "postgresql+psycopg://u:p@db/x")
    monkeypatch.setenv("PRESSRUN_PORT", "9000")
    settings = settings_in(tmp_path)
    assert settings.server.public_url == "https://press.example.net/"
    assert settings.server.port == 9000
    assert settings.database.startswith("postgresql")


def test_secrets_are_not_in_any_representation(tmp_path: Path) -> None:
    """A settings object may end up in a log."""
    settings = settings_in(tmp_path)
    from pipeline.kit.signatures import parse_secret

    assert repr(parse_secret(SECRET)) not in repr(settings)
    assert SECRET not in repr(settings)


def test_an_identity_never_changes(tmp_path: Path) -> None:
    """tag_host and tag_date are written at the first start; a later difference stops the start."""
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    open_newsroom(tmp_path, url).context.ledger.close()
    with pytest.raises(ConfigError, match="tag_date"):
        open_newsroom(tmp_path, url, CONFIG.replace('tag_date = "2026-01-01"', 'tag_date = "2026-01-02"'))


def test_an_outlet_that_holds_articles_may_not_vanish(small_newsroom: Newsroom) -> None:
    """Closed, it is emptied first; then it may go."""
    from dataclasses import replace

    small_newsroom.send("published", article())
    small_newsroom.drain()
    settings = small_newsroom.context.settings
    site = settings.sites[0]
    small_newsroom.context.settings = replace(settings, sites=(replace(site, mirrors=()),))
    with pytest.raises(ConfigError, match="demo/mirror:one"):
        register(small_newsroom.context)


def test_a_changed_title_reaches_feeds_and_pages(small_newsroom: Newsroom) -> None:
    """A new start with another configuration makes the documents again."""
    from dataclasses import replace

    small_newsroom.send("published", article())
    small_newsroom.drain()
    settings = small_newsroom.context.settings
    old = settings.sites[0]
    site = replace(old, title="The New Courier", feeds=(replace(old.feeds[0], title="All of it"), *old.feeds[1:]))
    small_newsroom.context.settings = replace(settings, sites=(site,))
    assert "demo/feed:all" in register(small_newsroom.context)
    small_newsroom.clock.move(4)
    small_newsroom.drain()
    assert b"All of it" in small_newsroom.feed("all", "rss")
    assert "The New Courier" in small_newsroom.page()[1]


def test_the_configuration_is_found_where_it_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """$PRESSRUN_CONFIG, then ./pressrun.toml, then ./.pressrun/pressrun.toml."""
    monkeypatch.delenv("PRESSRUN_CONFIG", raising=False)
    assert settings_file.find(tmp_path) is None
    (tmp_path / ".pressrun").mkdir()
    second = tmp_path / ".pressrun" / "pressrun.toml"
    second.touch()
    assert settings_file.find(tmp_path) == second
    first = tmp_path / "pressrun.toml"
    first.touch()
    assert settings_file.find(tmp_path) == first
    monkeypatch.setenv("PRESSRUN_CONFIG", "/elsewhere/x.toml")
    assert str(settings_file.find(tmp_path)) == "/elsewhere/x.toml"


def test_two_sites_do_not_mix(make_newsroom: Callable[..., Newsroom]) -> None:
    """An article of one site is in no outlet of the other."""
    second = CONFIG.partition("[sites.demo]")[2].replace("sites.demo", "sites.other").replace("The Test Courier", "Other")
    room = make_newsroom(f"{CONFIG}\n[sites.other]\n{second}")
    room.send("published", article())
    room.drain()
    assert {o.outlet.partition("/")[0] for o in room.status().outlets} == {"demo"}
    assert b"harbour" not in b"".join(p.read_bytes() for p in (room.context.settings.origin / "other").rglob("*") if p.is_file())


def test_a_closed_outlet_gives_up_what_it_holds(small_newsroom: Newsroom) -> None:
    """Emptied first, then it may vanish from the configuration."""
    from dataclasses import replace

    small_newsroom.send("published", article())
    small_newsroom.drain()
    assert small_newsroom.page()[0] == 200
    settings = small_newsroom.context.settings
    old = settings.sites[0]
    closed = replace(old, mirrors=(replace(old.mirrors[0], closed=True),), feeds=(replace(old.feeds[0], closed=True), *old.feeds[1:]))
    small_newsroom.context.settings = replace(settings, sites=(closed,))
    register(small_newsroom.context)
    small_newsroom.clock.move(4)
    small_newsroom.drain()
    assert small_newsroom.page()[0] == 410
    assert small_newsroom.feed_ids("all") == []
    assert small_newsroom.feed_ids("world") == ["a-1"]
    small_newsroom.context.settings = replace(settings, sites=(replace(closed, mirrors=()),))
    register(small_newsroom.context)
