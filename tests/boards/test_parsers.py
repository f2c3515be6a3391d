"""Board: every parser of ours under random and half-right input (Hypothesis). It reads, or it raises its own error, and nothing else."""

from __future__ import annotations

import base64
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.datastructures import QueryParams
from starlette.requests import Request

from pipeline.dialects import dialects
from pipeline.kit import addresses, clean, config, signatures, strictjson
from pipeline.kit.http import Answer, retry_after
from pipeline.ledger.events import Claimed
from pipeline.model.settings import Site, Source
from pipeline.pages import body, page_path
from pipeline.rules import identity, schema
from pipeline.rules.article import instant
from pipeline.validate import decide
from pipeline.web import api, conditional
from tasks import envelope
from tests.boards.bodies import FULL
from tests.boards.desk import event
from tests.boards.markup import dangers

EXAMPLES = int(os.environ.get("PRESSRUN_BOARD_EXAMPLES", "0")) * 10 or 150
bounded = settings(max_examples=EXAMPLES, deadline=None)

anything = st.text(st.characters(), max_size=80)
printable = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | anything
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(anything, inner, max_size=4), max_leaves=15)
jsonish = st.lists(
    st.sampled_from(
        [*list('[]{}":,0-1eE+. \n\\"u'), "\\u", "d800", "true", "null", "NaN", '"a"', '{"a":', "\ufeff", "1e999", "\\ud83d\\ude00"]
    ),
    max_size=40,
).map("".join)


@bounded
@given(st.binary(max_size=80) | jsonish.map(lambda text: text.encode("utf-8", "surrogatepass")), st.integers(1, 70))
def test_strict_json(raw: bytes, depth: int) -> None:
    """BadJson with a sentence that can be printed, or a value that says the same when it is written and read again."""
    try:
        value = strictjson.loads(raw, max_depth=depth)
    except strictjson.BadJson as bad:
        f"{bad.detail}{bad.pointer}".encode()
        assert bad.detail
        return
    assert strictjson.loads(json.dumps(value).encode(), max_depth=depth) == value


names = st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"])
pieces = st.lists(
    st.sampled_from(["v1,", "v2,", " ", ",", "=", "A" * 43 + "=", "\u00e9", "whsec_", "\x00", "1700000000"]) | printable, max_size=6
).map("".join)


@bounded
@given(
    st.dictionaries(names, pieces | anything),
    st.binary(max_size=20),
    st.floats(),
    st.lists(st.binary(min_size=24, max_size=64), max_size=3),
)
def test_signatures(headers: dict[str, str], raw: bytes, now: float, secrets: list[bytes]) -> None:
    """BadSignature, whatever the headers, the clock, the secrets."""
    with pytest.raises(signatures.BadSignature) as caught:
        signatures.verify(headers, raw, secrets, now)
    assert str(caught.value) == "The signature could not be verified."


@bounded
@given(anything | st.binary(max_size=70).map(lambda raw: "whsec_" + base64.b64encode(raw).decode()))
def test_secrets(text: str) -> None:
    """Key bytes that are written back the same, or ValueError without the secret in it."""
    try:
        key = signatures.parse_secret(text)
    except ValueError as error:
        assert len(text) < 12 or text.removeprefix("whsec_") not in str(error)
        return
    assert "whsec_" + base64.b64encode(key).decode() == text


tags = st.sampled_from(
    "<p> </p> <b> </b> <a> <a~href=/x> <a~href='java\tscript:x'> <img~src=a> <svg> <math> <style> </style> <!-- --> <table> <td> <li> <pre>\n <script> <template> &lt; &#x0; &#55296; < > ' \" \0 \ud800 \u0338 \u0301 \u2028 x".split(
        " "
    )
).map(lambda bit: bit.replace("~", " "))
fragments = st.lists(tags | anything, max_size=12).map("".join)


@bounded
@given(fragments | anything)
def test_cleaning_and_cutting(value: str) -> None:
    """Each a fixed point; what was cleaned is harmless to two other parsers, and its seams lose no character."""
    for make in (clean.text, clean.line, lambda text: clean.html(text, "https://www.example.org/a")):
        made = make(value)
        made.encode()
        assert make(made) == made
    cleaned = clean.html(value, "https://www.example.org/a")
    assert dangers(cleaned) == []
    clean.html_to_text(cleaned)
    for read in (cleaned, value):  # a body is cut as it was cleaned; what was not cleaned may not raise either
        cut = body.read(read)
        assert "".join(block.html for block in cut.blocks) == read
        if cut.blocks:
            assert all(-1 <= place < len(cut.blocks) for place in body.places(cut.blocks, 3))


tomlish = st.lists(
    st.sampled_from(
        [
            *list("[]{}=\n.,\"' #"),
            "[[",
            "]]",
            "a",
            "a.b",
            '"a b"',
            "'''",
            '"""',
            "1",
            "true",
            "\\u0000",
            "2026-01-01",
            "inf",
            "\r",
            "\ufeff",
        ]
    ),
    max_size=30,
).map("".join)


@bounded
@given(tomlish | anything, st.lists(st.text("ab/.", max_size=3) | st.integers(0, 3), max_size=4))
@example("[" * 4000 + "]" * 4000, [])
@example("a = " + "[" * 4000 + "]" * 4000, [])
def test_configuration(text: str, path: list[str | int]) -> None:
    """Values or ValueError, and a line that is one of the file's, wherever the path leads."""
    lines = max(1, len(text.splitlines()))
    try:
        config.parse(text)
    except ValueError as fault:
        assert 1 <= config.line_of_fault(text, fault) <= lines + 1
    assert 1 <= config.line_of(text, path) <= lines


@bounded
@given(st.sampled_from(["env:", "file:", ""]), anything)
def test_secrets_of_a_configuration(kind: str, name: str) -> None:
    """Where there is none: ValueError, or OSError for a name the system does not take."""
    with pytest.raises((ValueError, OSError)):
        config.secret(f"{kind}no-such-{name}", Path("/nowhere"))


@bounded
@given(anything | st.ip_addresses().map(str) | st.lists(st.sampled_from(list("0123456789abcdef.:x%[]/")), max_size=20).map("".join))
def test_addresses(text: str) -> None:
    """Public, one's own, or neither; never both, and never an error."""
    assert not (addresses.is_public(text) and addresses.is_own(text))
    assert addresses.is_numeric(text) or not (addresses.is_public(text) or addresses.is_own(text))


NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
tagish = st.lists(st.sampled_from(['"', "W/", ",", " ", "*", "abc", '"abc"', 'W/"abc"', "\u00e9", "\\"]), max_size=8).map("".join)
dates = st.lists(
    st.sampled_from(
        ["Mon", "23", "Nov", "2026", "08:00:00", "GMT", "-0000", "+9999", ",", " ", "99999999999999", "(", ")", "\u0661", "0000", "BC"]
    ),
    max_size=10,
).map(" ".join)


@bounded
@given(st.dictionaries(st.sampled_from(["if-none-match", "if-modified-since"]), tagish | dates | anything))
@example({"if-modified-since": "Mon, 23 Nov 0000 08:00:00 GMT"})
@example({"if-modified-since": "Mon, 01 Jan 0001 00:00:00 +2359"})
@example({"if-modified-since": "Fri, 31 Dec 9999 23:59:59 -2359"})
@example({"if-modified-since": "Mon, 23 Nov 2026 08:00:00 +99999999999999999999"})
def test_conditional_headers(headers: dict[str, str]) -> None:
    """304 or not; If-None-Match decides alone where it stands."""
    said = conditional.not_modified(headers, '"abc"', NOW, still=True)
    if (given_tags := headers.get("if-none-match")) is not None:
        assert said == (given_tags.strip() == "*" or ("abc" in given_tags and said))


codings = st.lists(
    st.sampled_from(["gzip", "br", "*", ";", "q=", "q", "=", "0", "1", "0.5", "nan", "inf", "-1", ",", " ", "1e400", "\u0661"]), max_size=10
).map("".join)


@bounded
@given(codings | anything)
@example("gzip;q=nan")
@example("gzip;q=-inf")
def test_accept_encoding(header: str) -> None:
    """Yes or no; and no where it is refused by its weight."""
    assert conditional.accepts(header, "gzip") in {True, False}
    assert not conditional.accepts(f"gzip;q=0, {header}" if "gzip" not in header else "gzip;q=0", "gzip")


@bounded
@given(dates | anything | st.integers().map(str), st.floats(0, 1e12), dates | anything)
@example("Mon, 01 Jan 0001 00:00:00 +2359", 0.0, "")
def test_retry_after(text: str, now: float, date: str) -> None:
    """Nothing, or seconds between none and a week."""
    found = retry_after(Answer(503, {"retry-after": text, "date": date}, b""), now)
    assert found is None or 0 <= found <= 7 * 86_400


@bounded
@given(
    st.binary(max_size=60)
    | values.map(lambda v: json.dumps(v).encode("utf-8", "surrogatepass"))
    | jsonish.map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_envelopes(raw: bytes) -> None:
    """A fixed phrase why it is no message; nothing of the message is in it."""
    for judge in (envelope.task_problem, envelope.control_problem, envelope.restored_problem):
        said = judge(raw)
        assert said
        assert said.isascii()
        assert len(said) < 120


@bounded
@given(anything.filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text)), printable)
def test_identities(cms_id: str, space: str) -> None:
    """An id is in its tag URI once percent-encoded, and comes back; the page's path is made of harmless characters."""
    made = identity.identity("example.org", "2026-01-01", "space", cms_id)
    assert unquote(made.rpartition("/")[2]) == cms_id
    assert quote(unquote(made.rpartition("/")[2]), safe="") == made.rpartition("/")[2]
    short = identity.short_id(made)
    assert page_path(f"https://www.example.org/{cms_id}{space}", short).strip("abcdefghijklmnopqrstuvwxyz0123456789-") == "/"


@bounded
@given(
    st.lists(
        st.tuples(st.sampled_from(["limit", "state", "outlet", "site", "x"]) | anything, st.integers().map(str) | anything), max_size=4
    )
)
def test_queries(pairs: list[tuple[str, str]]) -> None:
    """BadQuery with a sentence, or each known parameter once and a number within its bounds."""
    made = str(QueryParams([(k, v) for k, v in pairs if not any("\ud800" <= c <= "\udfff" for c in k + v)]))
    request = Request({"type": "http", "query_string": made.encode(), "headers": []})
    try:
        query = api._query(request, "limit", "state")
        assert 1 <= api._most(query) <= api.MOST
        assert api._one_of(query, "state", ("a", "b")) in {None, "a", "b"}
    except api.BadQuery as bad:
        assert str(bad)


@bounded
@given(anything | st.datetimes().map(datetime.isoformat) | dates)
def test_instants(text: str) -> None:
    """An aware instant of the calendar, or None."""
    found = instant(text)
    assert found is None or (found.tzinfo is UTC and 1900 <= found.year <= 2200)


SITE = Site("demo", "T", "https://www.example.org/", "en", "P", "example.org", "2026-01-01")
SOURCE = Source("newsroom", "demo")
spoiled = st.sampled_from(sorted(FULL)).flatmap(lambda name: st.fixed_dictionaries({name: values}))


@bounded
@given(
    values
    | spoiled.map(lambda change: event({**FULL, **change}))
    | st.fixed_dictionaries({"type": values, "timestamp": values, "data": values})
)
def test_events(payload: object) -> None:
    """The native dialect and all rules behind it: an article, or problems at places of the event, each with a sentence."""
    raw = json.dumps(payload).encode()
    assert dialects()["native"](payload) is payload
    decided = decide(SOURCE, SITE, Claimed(id=1, event_id="ev", body=raw, received_at=NOW, strikes=0, size=len(raw)))
    assert (decided.candidate is None) == bool(decided.problems)
    assert len(decided.problems) <= schema.MOST_PROBLEMS
    assert all(problem.detail and (problem.pointer == "" or problem.pointer[0] == "/") for problem in decided.problems)
    json.dumps([[p.pointer, p.detail] for p in decided.problems], ensure_ascii=False).encode()
