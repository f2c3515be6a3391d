"""Secrets on their way in: each the schema has is known here, and none is repeated by whoever reads the configuration."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
import structlog
from click.testing import CliRunner

from pipeline import settings as settings_file
from pipeline.cli.config import command as config_verb
from pipeline.kit import log, secrecy
from pipeline.model.errors import ConfigError
from tests.conftest import CONFIG, SECRET
from tests.guard import canaries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HTTP_MIRROR = 'backend = "http"\ntarget = "http://127.0.0.1:9/"\nbase_url = "http://127.0.0.1:9/"\n'


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test gave this process is none of the next one's."""
    monkeypatch.setattr(secrecy, "_known", set())
    monkeypatch.setenv("PRESSRUN_TEST_SECRET", SECRET)


def with_value(pointer: str, value: str) -> str:
    """The usual configuration with one of its secrets written as `value`."""
    line = f"{pointer.rstrip('/*').rpartition('/')[2]} = {json.dumps(value)}\n"
    if pointer.startswith("/sources/"):
        return CONFIG.replace('secrets = ["env:PRESSRUN_TEST_SECRET"]', f"secrets = [{json.dumps(value)}]")
    if pointer.startswith("/hub/"):
        return CONFIG + f"[hub]\nkeys = [{json.dumps(value)}]\n"
    if pointer.startswith("/sites/"):
        return CONFIG.replace("[sites.demo.mirrors.one]\n", f"[sites.demo.mirrors.one]\n{HTTP_MIRROR}{line}")
    return line + CONFIG


def fault_of(folder: Path, text: str) -> str:
    """What is said of a configuration that is no good."""
    path = folder / "pressrun.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        settings_file.load(path)
    return str(caught.value)


def test_every_text_of_the_configuration_is_a_canary_or_public() -> None:
    """A new option is one or the other by somebody's decision, and a new secret is marked, masked and looked for."""
    assert {at for at, secret in canaries.texts() if secret} == set(canaries.CORES)
    assert {at for at, secret in canaries.texts() if not secret} == canaries.PUBLIC
    assert settings_file.secret_names() == {pointer.rstrip("/*").rpartition("/")[2] for pointer in canaries.CORES}


def test_what_is_named_like_a_secret_is_one() -> None:
    """Or takes `env:` and `file:`, as only secrets do."""
    named = {at for at, _ in canaries.texts() if re.search(r"secret|token$|password|passphrase|api_?key|credential", at)}
    assert named <= set(canaries.CORES)


def test_a_canary_is_found_in_whatever_spelling() -> None:
    """Otherwise finding none would say nothing."""
    for name, core in canaries.ALL.items():
        for text in (f"{core}", f"a{core}z", f"ab{core}/z", json.dumps({"x": f"abc{core}"})):
            for coded in (text, quote(text), base64.b64encode(text.encode()).decode(), text.encode().hex(), text.encode().hex().upper()):
                assert canaries.given_away(coded.encode()) == {name}, (coded, name)


WRONG = {
    "in clear": "{core}",
    "as a secret of the usual form": "whsec_{core}",
    "of another scheme": "postgres://desk:{core}@db.example/news",
    "behind a word": "environment:{core}",
}


@pytest.mark.parametrize("pointer", canaries.CORES)
@pytest.mark.parametrize("wrong", WRONG)
def test_a_secret_in_the_wrong_place_or_form_is_not_repeated(tmp_path: Path, pointer: str, wrong: str) -> None:
    """It is the commonest mistake, and its message the one that is pasted into a chat."""
    said = fault_of(tmp_path, with_value(pointer, WRONG[wrong].format(core=canaries.CORES[pointer])))
    assert pointer.strip("/*").split("/")[0] in said
    assert not canaries.given_away(said.encode())


TWO_WAYS = ["p@{core}@", "{core}@x@", "{core}/x@", "/{core}@", "#{core}@", "{core}#x@", "x/{core}", ":{core}"]


@pytest.mark.parametrize("name", ["database", "broker"])
@pytest.mark.parametrize("userinfo", TWO_WAYS)
@pytest.mark.parametrize("how", ["in the file", "by env:", "by PRESSRUN_…"])
def test_a_url_that_can_be_read_in_two_ways_is_refused_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, userinfo: str, how: str
) -> None:
    """A library would take part of the password for a host or a port, and say so in its error."""
    scheme = {"database": "postgresql+psycopg", "broker": "redis"}[name]
    url = f"{scheme}://desk:{userinfo.format(core=canaries.CORES['/' + name])}127.0.0.1:1/0"
    text = with_value(f"/{name}", "env:THE_URL" if how == "by env:" else url) if how != "by PRESSRUN_…" else CONFIG
    monkeypatch.setenv("THE_URL", url)
    if how == "by PRESSRUN_…":
        monkeypatch.setenv(f"PRESSRUN_{name.upper()}", url)
    said = fault_of(tmp_path, text)
    assert "write @ as %40" in said
    assert not canaries.given_away(said.encode())


GOOD_URLS = {
    "database": [
        "postgresql+psycopg://desk:p%40ss%2Fword@db.example:5432/news?sslmode=require",
        "postgresql+psycopg://postgres:@/postgres?host=/tmp/a.b/c",
        "postgresql+psycopg://desk@[::1]:5432/news",
        "postgresql+psycopg://db.example/news",
    ],
    "broker": [
        "redis://:p%23w@127.0.0.1:6379/0",
        "rediss://r.example/1?ssl_cert_reqs=CERT_NONE",
        "redis+socket:///tmp/a@b/s?virtual_host=1",
    ],
}


@pytest.mark.parametrize(("name", "url"), [(name, url) for name, urls in GOOD_URLS.items() for url in urls])
def test_a_url_that_can_be_read_in_one_way_is_taken(tmp_path: Path, name: str, url: str) -> None:
    """With a password or without, by address, name or socket."""
    path = tmp_path / "pressrun.toml"
    path.write_text(with_value(f"/{name}", url))
    assert getattr(settings_file.load(path), name) == url


def test_what_a_variable_stands_for_is_looked_at_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of another database than we know there is a sentence, not a library's traceback."""
    monkeypatch.setenv("THE_URL", f"mysql://desk:{canaries.DATABASE_PASSWORD}@db.example/news")
    said = fault_of(tmp_path, with_value("/database", "env:THE_URL"))
    assert "database: what stands there is not sqlite, or postgresql+psycopg://" in said
    assert not canaries.given_away(said.encode())


@pytest.mark.parametrize("key", ["target", "base_url", "home_url", "feeds_url", "public_url", "logo_url", "roku_channel_url"])
def test_credentials_in_a_url_are_refused_and_not_repeated(tmp_path: Path, key: str) -> None:
    """They would stand in pages, feeds or messages; a mirror has its token for that."""
    url = f"https://desk:{canaries.CORES['/database']}@store.example/put/"
    text = CONFIG.replace("[sites.demo.mirrors.one]\n", f"[sites.demo.mirrors.one]\n{HTTP_MIRROR}")
    if key in {"target", "base_url"}:
        text = re.sub(f'^{key} = .*"$', f'{key} = "{url}"', text, flags=re.MULTILINE)
    elif key == "home_url":
        text = text.replace('home_url = "https://www.example.org/"', f'home_url = "{url}"')
    elif key == "public_url":
        text = text.replace("port = 8499", f'port = 8499\npublic_url = "{url}"')
    else:
        text = text.replace('tag_date = "2026-01-01"', f'tag_date = "2026-01-01"\n{key} = "{url}"')
    said = fault_of(tmp_path, text)
    assert key in said
    assert not canaries.given_away(said.encode())


@pytest.fixture
def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration with every secret there is."""
    text = CONFIG.replace(
        'data = "data"', 'data = "data"\napi_token = "env:CANARY_API"\ndatabase = "env:CANARY_DB"\nbroker = "file:broker"'
    )
    text = text.replace("env:PRESSRUN_TEST_SECRET", "env:CANARY_HOOK")
    text = text.replace("[sites.demo.mirrors.one]\n", f'[sites.demo.mirrors.one]\n{HTTP_MIRROR}token = "env:CANARY_MIRROR"\n')
    two = HTTP_MIRROR + 'token = "env:CANARY_BASIC"\n'
    text += f'[sites.demo.mirrors.two]\n{two}[hub]\nkeys = ["env:CANARY_HUB"]\n'
    monkeypatch.setenv("CANARY_HUB", canaries.HUB_KEY)
    monkeypatch.setenv("CANARY_API", canaries.API_TOKEN)
    database = (
        f"postgresql+psycopg://desk:{canaries.DATABASE_PASSWORD}@127.0.0.1:1/n?sslpassword={canaries.CORES['/database']}&connect_timeout=1"
    )
    monkeypatch.setenv("CANARY_DB", database)
    monkeypatch.setenv("CANARY_HOOK", canaries.WEBHOOK_SECRET)
    monkeypatch.setenv("CANARY_MIRROR", canaries.BEARER)
    monkeypatch.setenv("CANARY_BASIC", canaries.BASIC)
    (tmp_path / "broker").write_text(f"redis://:{canaries.BROKER_PASSWORD}@127.0.0.1:1/0?password={canaries.CORES['/broker']}\n")
    path = tmp_path / "pressrun.toml"
    path.write_text(text)
    return path


def test_what_is_shown_of_the_settings_has_none(whole: Path) -> None:
    """Neither what `config show` prints, nor what a settings object says of itself in a traceback."""
    done = CliRunner().invoke(config_verb, ["show", "--config", str(whole)])
    shown = json.loads(done.output)
    assert shown["api_token"] == "***"
    assert shown["sources"][0]["secrets"] == ["***"]
    assert shown["hub"]["keys"] == ["***"]
    assert [m["token"] for m in shown["sites"][0]["mirrors"]] == ["***", "***"]
    assert shown["broker"] == "redis://***@127.0.0.1:1/0?password=***"
    assert shown["database"] == "postgresql+psycopg://***@127.0.0.1:1/n?sslpassword=***&connect_timeout=1"
    assert not canaries.given_away(done.output.encode())
    assert not canaries.given_away(repr(settings_file.load(whole)).encode())


def test_without_a_token_there_is_nothing_to_mask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`config show` says whether one is set."""
    path = tmp_path / "pressrun.toml"
    path.write_text(CONFIG)
    shown = json.loads(CliRunner().invoke(config_verb, ["show", "--config", str(path)]).output)
    assert (shown["api_token"], shown["broker"]) == ("", "embedded")


def test_checking_against_a_ledger_that_does_not_answer_says_none(whole: Path) -> None:
    """The note names the host."""
    done = CliRunner().invoke(config_verb, ["check", "--config", str(whole)])
    assert "not compared with the ledger" in done.output
    assert not canaries.given_away(done.output.encode())


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What this process writes to its log; its loggers are left as they were."""
    stream = io.StringIO()
    before = structlog.get_config()
    root, handlers, level = logging.getLogger(), logging.getLogger().handlers[:], logging.getLogger().level
    monkeypatch.setattr(sys, "stderr", stream)
    log.configure()
    yield stream
    logging.captureWarnings(capture=False)
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_log_line_has_no_secret_of_the_configuration_however_deep(whole: Path, logged: io.StringIO) -> None:
    """In a message, a field, a list in a field, and in the words of an error and of its cause, whoever raised it."""
    settings = settings_file.load(whole)
    for secret in (
        settings.api_token,
        settings.database,
        settings.broker,
        *(m.token for m in settings.sites[0].mirrors),
        *settings.hub.keys,
    ):
        log.logger().warning(f"met {secret}", outcome=f"said {secret}", seen=[secret, {"url": secret}])
        logging.getLogger("a.library").error("cannot use %s", secret)
        try:
            try:
                raise ValueError(secret)
            except ValueError as error:
                message = f"while using {secret}"
                raise RuntimeError(message) from error
        except RuntimeError:
            log.logger().exception("crashed")
            logging.getLogger("a.library").exception("crashed")
    lines = logged.getvalue().splitlines()
    assert len(lines) == 4 * 6
    assert "while using ***" in logged.getvalue()
    assert not canaries.given_away(logged.getvalue().encode())
