"""Board: pressrun.toml. Every key of the schema with every wrong kind of value: told with file, line and what was expected, and no more."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from pipeline import settings as settings_file
from pipeline.model.errors import ConfigError
from pipeline.rules import schema
from tests.boards.board import naughty, none_of
from tests.boards.strings import XML
from tests.cli.terminal import pressrun

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SECRET = "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5LWNhbmFyeQ=="
WHOLE = """
data = "data"
database = "sqlite"
broker = "embedded"
origin = "origin"
api_token = "file:token"
[server]
host = "127.0.0.1"
port = 8400
public_url = "https://news.example/"
allow_hosts = ["127.0.0.1:9000"]
trusted_proxies = ["10.0.0.0/8"]
[limits]
body_bytes = 2048
json_depth = 64
timestamp_seconds = 300
accept_seconds = 1.5
accept_queue = 10
circuit_failures = 5
circuit_seconds = 30
[retries]
feed = [1]
mirror = [1]
network = [1]
hub = [1]
[hub]
policy = "allowlist"
topic_hosts = ["news.example"]
lease_default = 600
lease_min = 60
lease_max = 6000
per_host = 3
most = 30
keys = ["file:key"]
[sources.newsroom]
site = "demo"
dialect = "native"
id_space = "cms"
order_by = "updated_at"
secrets = ["file:secret"]
enabled = true
url_hosts = ["www.example.org"]
[sites.demo]
title = "T"
home_url = "https://www.example.org/"
language = "en"
publisher = "P"
tag_host = "example.org"
tag_date = "2026-01-01"
description = "d"
logo_url = ""
rights = "r"
timezone = "UTC"
feeds_url = "https://www.example.org/feeds/"
sitemaps = true
sitemaps_url = "https://www.example.org/sitemaps/"
publication = "P"
alternates = ["https://a.example/"]
hubs = ["https://hub.example/"]
roku_channel_url = ""
require_image_credit = true
[sites.demo.feeds.all]
title = "A"
description = ""
sections = ["News"]
tags = ["t"]
languages = ["en"]
window = 5
window_hours = 1
window_max = 10
window_max_bytes = 20000
formats = ["rss"]
page_size = 5
former = ["every"]
authors = ["A"]
subsections = true
closed = false
[sites.demo.mirrors.one]
title = "M"
backend = "http"
base_url = "https://m.example/"
target = "https://m.example/put/"
token_header = "Authorization"
token = "file:token"
seo = "canonical"
authors = []
subsections = true
sections = []
tags = []
languages = []
parallel = 2
closed = false
[sites.demo.networks.x]
authors = []
subsections = true
sections = []
tags = []
languages = []
link_to = "one"
hashtags = true
account = "a"
options = { a = "b" }
closed = false
[sites.demo.indexnow.all]
key = "0123abcd"
endpoint = "https://api.example/indexnow"
key_location = "https://www.example.org/keys/0123abcd.txt"
closed = false
"""
"""Every key there is; a test keeps it so."""

WRONG: dict[str, tuple[str, ...]] = {
    "string": ("0", "-1", "1.5", "true", "[]", "{}", "2026-01-01", "inf", "[[]]", "0x10", "1979-05-27T07:32:00Z"),
    "integer": (
        '""',
        '"5"',
        "0.5",
        "true",
        "[]",
        "{}",
        "-1",
        "9223372036854775807",
        "99999999999999999999999",
        "nan",
        "inf",
        "2026-01-01",
        '" 5"',
    ),
    "number": ('""', '"1"', "true", "[]", "{}", "-1", "nan", "inf", "-inf", "1e300", "07:32:00"),
    "boolean": ('"true"', "0", "1", '""', "[]", "{}", "1.0"),
    "array": ('""', '"News"', "0", "true", "{}", "[[]]", "[0]", "[true]", "[{}]", '[""]', "[2026-01-01]", "[nan]"),
    "object": ('""', "0", "true", "[]", "[{}]", '{ "" = 1 }', "{ a = [] }"),
    "enum": ('""', '"no such"', "0", "true", "[]", '"Canonical"', '"canonical "', '"canonical\\n"'),
}
FORMS = (
    '"\\n"',
    '" "',
    '"a b"',
    '"\\u0000"',
    '"\\u202e"',
    '"javascript:alert(1)"',
    '"file:///etc/passwd"',
    '"../../etc"',
    '"http://u:p@h/"',
    '"https://h\\r\\nX: 1/"',
    '"' + "x" * 3000 + '"',
)
"""For keys that have a form: each of these is wrong for nearly all of them, and harmless where it is not."""


def _keys() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(table.key, its schema) for every key of `config.v1.json`, with the names that WHOLE gives to what has one."""
    root: Any = schema.documents()["config.v1.json"]
    names = {"sites": "demo", "sources": "newsroom", "feeds": "all", "mirrors": "one", "networks": "x", "indexnow": "all"}

    def walk(where: str, node: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        node = root["$defs"][node["$ref"].rpartition("/")[2]] if str(node.get("$ref", "")).startswith("#") else node
        for key, inner in node.get("properties", {}).items():
            path = f"{where}.{key}" if where else key
            if key in names and isinstance(inner.get("additionalProperties"), dict) and "$ref" in inner["additionalProperties"]:
                yield from walk(f"{path}.{names[key]}", inner["additionalProperties"])
            elif "properties" in inner:
                yield from walk(path, inner)
            else:
                yield path, inner

    return walk("", root)


def _with(path: str, value: str) -> str:
    """WHOLE with another value for that key."""
    table, _, key = path.rpartition(".")
    head, found, rest = WHOLE.partition(f"[{table}]\n") if table else ("", "", WHOLE)
    assert not table or found, table
    changed, count = re.subn(rf"(?m)^{key} = .*$", lambda _: f"{key} = {value}", rest, count=1)
    assert count, path
    return head + found + changed


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the secrets lie; nothing of the environment has a say."""
    for name in settings_file.ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "token").write_text(SECRET)
    (tmp_path / "key").write_text("b25seSBhIHRlc3QncyBrZXksIDMyIGJ5dGVzIGxvbmc=")
    return tmp_path


def fault(folder: Path, text: str | bytes, key: str = "") -> str:
    """Empty for a ConfigError that names file and line (and the key) and no secret; “taken” for settings; else what is wrong."""
    path = folder / "pressrun.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    try:
        settings_file.load(path)
    except ConfigError as error:
        told = str(error)
        if SECRET in told or SECRET[6:] in told:
            return "the secret is told"
        lines = told.splitlines()
        named = all(re.match(rf"{re.escape(str(path))}:[1-9][0-9]*: .", line) for line in lines)
        return "" if named and key.rpartition(".")[2] in told and len(lines) <= 100 else told[:300]
    except Exception as error:  # noqa: BLE001 - what the board is there to find
        return f"{type(error).__name__}: {error}"[:300]
    return "taken"


def test_the_whole_configuration_is_whole(folder: Path) -> None:
    """Every key of the schema stands in it, and it is good: what is wrong below is wrong by itself."""
    assert fault(folder, WHOLE) == "taken"
    for path, _ in _keys():
        _with(path, "0")


def test_every_key_refuses_every_other_kind_of_value(folder: Path) -> None:
    """In its own line: file, line, key, what was expected."""
    cases = [(path, value) for path, node in _keys() for value in WRONG["enum" if "enum" in node else node.get("type", "string")]]
    failed = []
    for path, value in cases:
        found = fault(folder, _with(path, value), path)
        if found and not (found == "taken" and _fits(path, value)):
            failed.append((path, value, found))
    none_of(cases, failed, least=450)


def _fits(path: str, value: str) -> bool:
    """Whether the schema itself, read by another program, says that the value may stand there."""
    import jsonschema_rs

    node = dict(_keys())[path]
    if "$ref" in node:
        return False
    import tomllib

    return bool(
        jsonschema_rs.is_valid({**node, "$schema": "https://json-schema.org/draft/2020-12/schema"}, tomllib.loads(f"x = {value}")["x"])
    )


def test_every_text_refuses_what_has_not_its_form(folder: Path) -> None:
    """Line ends, blanks, other schemes, credentials, paths: refused in words, or harmless there; never a traceback."""
    cases = [(path, value) for path, node in _keys() if node.get("type", "string") == "string" for value in FORMS]
    failed = [(path, value, found) for path, value in cases if (found := fault(folder, _with(path, value))) not in {"", "taken"}]
    none_of(cases, failed, least=250)


def test_every_key_that_is_mistyped_or_missing_is_named(folder: Path) -> None:
    """A letter too many, a letter too few, another case, twice."""
    failed: list[object] = []
    cases = [path for path, _ in _keys()]
    for path in cases:
        key = path.rpartition(".")[2]
        node = _with(path, "MARK")
        for wrong in (f"{key}s", key[:-1] or "x", key.upper(), f'"{key} "', f'"{key}\\n"', f"{key}.{key}"):
            found = fault(folder, node.replace(f"{key} = MARK", f"{wrong} = 1"))
            failed += [(path, wrong, found)] if found else []
        double = fault(folder, node.replace(f"{key} = MARK", f"{key} = 1\n{key} = 1"))
        failed += [(path, "twice", double)] if double else []
    none_of(cases, failed, least=60)


NAMES = (
    "",
    " ",
    "Demo",
    "d\u0435mo",
    "demo/x",
    "..",
    "a" * 41,
    "demo\n",
    "demo\0",
    "webhooks",
    "api",
    "mirrors",
    "healthz",
    "d\u00e9mo",
    "\u202edemo",
    "demo ",
    "a.b",
    "a:b",
    "%61",
    "__proto__",
)


@pytest.mark.parametrize("table", ["sites", "sources", "sites.demo.feeds", "sites.demo.mirrors", "sites.demo.networks"])
def test_names_are_plain(folder: Path, table: str) -> None:
    """Of sites, sources and outlets: letters, digits, hyphens, and no address of ours."""
    failed = []
    names = [name for name in NAMES if table == "sites" or name not in {"webhooks", "api", "mirrors", "healthz"}]
    for name in names:
        found = fault(folder, f"{WHOLE}\n[{table}.{json.dumps(name)}]\n")
        failed += [(table, name, found)] if found else []
    none_of(names, failed, least=15)


BROKEN: dict[str, bytes] = {
    "nothing": b"", "blanks": b" \n\t\n", "a mark": b"\xef\xbb\xbf" + WHOLE.encode(), "UTF-16": WHOLE.encode("utf-16"), "UTF-32": WHOLE.encode("utf-32"), "latin-1": WHOLE.replace('"T"', '"\u00e9"').encode("latin-1"),
    "NUL": WHOLE.replace('"T"', '"\0"').encode(), "a lone surrogate": WHOLE.replace('"T"', '"\ud800"').encode("utf-8", "surrogatepass"), "an escaped surrogate": WHOLE.replace('"T"', '"\\ud800"').encode(),
    "binary": bytes(range(256)) * 40, "JSON": b'{"sites": {}}', "YAML": b"sites:\n  demo: x\n", "INI": b"[a]\nb: c\n", "a deep list": b"x = " + b"[" * 5000 + b"]" * 5000, "a deep table": b"x = " + b"{a=" * 3000 + b"1" + b"}" * 3000,
    "deep keys": b".".join([b"a"] * 2_000) + b" = 1", "a deep header": b"[" + b".".join([b"a"] * 2_000) + b"]", "a long line": b"x = '" + b"x" * 3_000_000 + b"'", "many keys": b"".join(b"k%d = 1\n" % n for n in range(3_000)),
    "many unknown tables": b"".join(b"[t%d]\n" % n for n in range(2_000)), "an open text": b'x = "', "an open list": b"x = [", "an open table": b"[sites", "no value": b"x =", "no key": b"= 1", "two values": b"x = 1 2", "a bad escape": b'x = "\\q"', "a bad date": b"x = 2026-13-45",
    "a bad number": b"x = 01", "a table twice": b"[a]\n[a]", "a key as table": b"a = 1\n[a.b]", "a big number": b"x = " + b"9" * 5000, "only sites": b"[sites.demo]\n", "no sites": b"[sources.a]\nsite='b'\n",
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_no_configuration_is_told_with_its_line(folder: Path, name: str) -> None:
    """Whatever the bytes are; the sentence is short enough to be read."""
    assert fault(folder, BROKEN[name]) == ""


def test_texts_of_every_kind_are_taken_or_refused_and_nothing_else(folder: Path) -> None:
    """As the title of the site, whose text is free."""
    texts = list(dict.fromkeys((*XML, *naughty())))
    failed = [(text, found) for text in texts if (found := fault(folder, _with("sites.demo.title", json.dumps(text)))) not in {"", "taken"}]
    none_of(texts, failed, least=40)


SECRETS = ("env:NO_SUCH_VARIABLE", "env:", "env:A B", "file:", "file:none", "file:.", "file:/", "file:data\\u0000x", "file:empty", "file:binary", "file:/dev/null", "file:short", "file:loop", "whsec_clear", SECRET, "env", "FILE:secret", "file:secret\\n", "vault:x", "file:" + "x" * 5000, "env:" + "X" * 5000)  # fmt: skip


@pytest.mark.parametrize("key", ["sources.newsroom.secrets", "api_token", "sites.demo.mirrors.one.token", "hub.keys", "database", "broker"])
def test_a_secret_that_cannot_be_had_is_told_without_it(folder: Path, key: str) -> None:
    """Missing, empty, a folder, not text, in clear: where it was looked for, never what it is."""
    (folder / "empty").write_text("")
    (folder / "binary").write_bytes(b"\xff\xfe\x00" + SECRET.encode())
    (folder / "short").write_text("whsec_c2hvcnQ=")
    (folder / "loop").symlink_to("loop")
    failed = []
    for secret in SECRETS:
        if secret == "file:short" and key.endswith("token"):
            continue  # any text may be a token
        found = fault(folder, _with(key, f'["{secret}"]' if key.endswith(("secrets", "keys")) else f'"{secret}"'))
        failed += [(key, secret, found)] if found else []
    none_of(SECRETS, failed, least=20)


ADDRESSES = (
    "postgresql+psycopg://u:{s}@h:port/x",
    "postgresql+psycopg://u:{s}@[h/x",
    "postgresql://u:{s}@h/x",
    "mysql://u:{s}@h/x",
    "redis://:{s}@h:port/0",
    "redis://:{s}@[h/0",
    "amqp://u:{s}@h//",
    "{s}",
    "",
    " ",
    "sqlite:",
    "redis+socket://",
)


@pytest.mark.parametrize("key", ["database", "broker"])
@pytest.mark.parametrize("how", ["{}", "file:address"])
def test_an_address_that_nobody_can_read_is_told_without_its_password(folder: Path, key: str, how: str) -> None:
    """In the file or in the secret's own: by the settings, before anything tries it."""
    failed = []
    for address in (a.replace("{s}", SECRET) for a in ADDRESSES):
        (folder / "address").write_text(address)
        found = fault(folder, _with(key, json.dumps(how.format(address))), key)
        failed += [(address, found)] if found else []
    none_of(ADDRESSES, failed, least=12)


@pytest.mark.parametrize(
    "text",
    [WHOLE.replace("port = 8400", 'port = "x"'), "x = [", WHOLE.replace("file:secret", SECRET), "\0"],
    ids=["value", "syntax", "clear secret", "NUL"],
)
def test_the_exit_code_is_2_and_there_is_no_traceback(folder: Path, text: str) -> None:
    """As a person sees it."""
    (folder / "pressrun.toml").write_text(text)
    done = pressrun(folder, "config", "check")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stderr + done.stdout
    assert re.search(r"pressrun\.toml:[0-9]+: ", done.stderr)
