"""References in the schemas: replaced by what they name without changing a verdict, and never fetched."""

from __future__ import annotations

import copy
import json
import socket
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from pipeline.model.errors import ConfigError
from pipeline.rules import contracts, schema
from pipeline.rules import verdict as judge
from tests.conftest import EXAMPLES, article

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLES = {path.name: json.loads(path.read_text("utf-8")) for path in sorted(EXAMPLES.glob("*.json"))}
GOLDEN = Path(__file__).parents[1] / "golden"
SHARES = {path.name: json.loads(path.read_text("utf-8")) for path in sorted(GOLDEN.glob("*.share.*.json"))}

Steps = tuple[str | int, ...]
_REPLACEMENTS = [
    *(
        None,
        True,
        0,
        -1,
        1.5,
        10**18,
        "",
        "x",
        " \n",
        "en\n",
        "a" * 3000,
        "article.withdrawn",
        "2026-02-30T00:00:00Z",
        "https://h/",
        "intent",
    ),
    *([], [None], ["a"] * 120, {}, {"id": "a"}, {"url": "https://h/"}, {"unknown": 1}, {"latitude": 1}),
]


@cache
def plain(name: str) -> Any:
    """The validator of a schema as it stands in its file, looking its references up.

    Without `$schema`: a file that names its own would be read by the library's class, for which `$` is Python's.
    """
    documents = [{k: v for k, v in document.items() if k != "$schema"} for document in schema.documents().values()]
    registry: Registry[Any] = Registry().with_resources((str(d["$id"]), DRAFT202012.create_resource(d)) for d in documents)
    return judge.Validator(schema.documents()[name], registry=registry.crawl(), format_checker=FormatChecker(tuple(contracts.FORMATS)))


def verdict(validator: Any, value: object) -> list[tuple[list[str], str]]:
    """Every error: where, and which rule; in an order of its own."""
    return sorted(([str(part) for part in error.absolute_path], str(error.validator)) for error in validator.iter_errors(value))


def places(value: object, path: Steps = ()) -> Iterator[Steps]:
    """The path of everything below a value."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in members:
        yield (*path, key)
        yield from places(inner, (*path, key))


def mutant(sample: Any, draw: Any) -> Any:
    """The sample with one to three members deleted or replaced."""
    made = copy.deepcopy(sample)
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(made))
        if not found:
            break
        *above, last = draw(st.sampled_from(found))
        holder = made
        for part in above:
            holder = holder[part]
        if draw(st.booleans()):
            del holder[last]
        else:
            holder[last] = copy.deepcopy(draw(st.sampled_from(_REPLACEMENTS)))
    return made


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_is_valid(name: str) -> None:
    """By the schema as it stands and with its references replaced."""
    assert schema.problems("event.v1.json", SAMPLES[name]) == ()
    assert verdict(plain("event.v1.json"), SAMPLES[name]) == []


@pytest.mark.parametrize("name", ["article.v1.json", "event.v1.json", "withdrawal.v1.json", "share.v1.json", "config.v1.json"])
def test_no_reference_is_left_to_look_up(name: str) -> None:
    """What the validator reads names nothing outside itself."""
    assert '"$ref"' not in json.dumps(judge.validator(name).schema)
    assert '"$defs"' not in json.dumps(judge.validator(name).schema)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_a_changed_sample_is_judged_alike_with_and_without_references(name: str, data: st.DataObject) -> None:
    """The same errors at the same places; and there are problems exactly where there are errors."""
    value = mutant(SAMPLES[name], data.draw)
    expected = verdict(plain("event.v1.json"), value)
    assert verdict(judge.validator("event.v1.json"), value) == expected
    assert bool(schema.problems("event.v1.json", value)) == bool(expected)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(sorted(SHARES)), st.data())
def test_a_changed_share_is_judged_alike_with_and_without_references(name: str, data: st.DataObject) -> None:
    """The schema with the most references."""
    assert verdict(judge.validator("share.v1.json"), SHARES[name]) == []
    value = mutant(SHARES[name], data.draw)
    assert verdict(judge.validator("share.v1.json"), value) == verdict(plain("share.v1.json"), value)


@pytest.mark.parametrize("name", ["event.v1.json", "withdrawal.v1.json", "share.v1.json"])
def test_a_form_ends_at_the_end_in_every_file_that_refers_to_it(name: str) -> None:
    """No file that is referred to brings back the library's own reading of `$`."""
    member = {"event.v1.json": "data", "withdrawal.v1.json": "id", "share.v1.json": "article_id"}[name]
    value = {member: {"id": "48101\n"} if member == "data" else "48101\n", "type": "article.withdrawn"}
    assert any("48101" in problem.detail and "form expected" in problem.detail for problem in schema.problems(name, value))


def test_what_stands_beside_a_reference_holds_too() -> None:
    """A description beside a `$ref` goes into the sentence, and the limits of what it names stay."""
    inlined = contracts.inlined({"$ref": "article.v1.json#/$defs/url", "description": "Here.", "maxLength": 5}, "event.v1.json")
    assert (inlined["description"], inlined["maxLength"], inlined["format"]) == ("Here.", 5, "uri")


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A server on loopback, where the tests could reach it, that nobody is to call."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_a_reference_in_an_article_is_only_data(server: socket.socket) -> None:
    """What a newsroom writes into `extra` is never followed."""
    address = f"http://127.0.0.1:{server.getsockname()[1]}/article.json"
    assert schema.problems("article.v1.json", article(extra={"$ref": address, "$schema": address, "$id": address})) == ()
    assert [p.pointer for p in schema.problems("article.v1.json", article(**{"$ref": address}))] == ["/$ref"]


def test_a_schema_that_names_another_place_is_refused(server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not fetched: only what ships with the project is known, with references replaced or looked up."""
    address = f"http://127.0.0.1:{server.getsockname()[1]}/article.json"
    stranger = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://pressrun.example/x", "$ref": address}
    documents = {**schema.documents(), "stranger.json": stranger}
    monkeypatch.setattr(judge, "documents", lambda: documents)
    monkeypatch.setattr(contracts, "documents", lambda: documents)
    with pytest.raises(LookupError):
        judge.validator.__wrapped__("stranger.json")
    registry: Registry[Any] = judge.validator("event.v1.json")._resolver._registry
    with pytest.raises(LookupError):
        registry.get_or_retrieve(address)


def test_a_format_without_a_checker_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise jsonschema would let everything through in silence."""
    monkeypatch.setattr(FormatChecker, "checkers", {k: v for k, v in FormatChecker.checkers.items() if k != "uri"})
    with pytest.raises(ConfigError, match="no checker is installed for the formats uri"):
        judge.validator.__wrapped__("event.v1.json")
