"""JSON read strictly: the conformance suite, the limits, and where a flaw stands."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kit.strictjson import BadJson, loads

CORPUS = Path(os.environ.get("PRESSRUN_TEST_DATA", str(Path(__file__).parents[3] / "shared" / "data"))) / "corpora" / "json"
CASES = sorted(CORPUS.glob("*.json"))
REFUSED_ON_PURPOSE = ("y_object_duplicated_key", "y_object_escaped_null_in_key_dup")


@pytest.mark.skipif(not CASES, reason="JSONTestSuite is not here (PRESSRUN_TEST_DATA)")
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_conformance_suite(path: Path) -> None:
    """`y_` parses as the standard library reads it, `n_` is refused, `i_` does either and nothing else."""
    body = path.read_bytes()
    try:
        value = loads(body)
    except BadJson:
        assert not path.name.startswith("y_") or path.name.startswith(REFUSED_ON_PURPOSE)
    else:
        assert not path.name.startswith("n_")
        assert value == json.loads(body)


def _surrogate_free() -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


_scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | _surrogate_free()
)
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_surrogate_free(), inner, max_size=4), max_leaves=30
)


@given(_values, st.booleans())
def test_what_json_can_say_is_read(value: object, escaped: bool) -> None:  # noqa: FBT001
    """Escaped or not, every value comes back."""
    assert loads(json.dumps(value, ensure_ascii=escaped).encode()) == value


@given(st.binary(max_size=60) | st.text('[]{}",:\\u0dD8 \t1-+.eE', max_size=40).map(str.encode))
def test_anything_is_read_or_refused(body: bytes) -> None:
    """No other error, and what is read the standard library reads the same way."""
    try:
        value = loads(body)
    except BadJson:
        return
    assert value == json.loads(body)
    json.dumps(value, allow_nan=False).encode()


@pytest.mark.parametrize(
    ("body", "pointer", "words"),
    [
        (b"", "", "empty"),
        (b" \n", "", "empty"),
        (b"{", "", "line 1, column 2"),
        (b'{"a":1}x', "", "not JSON"),
        (b"\xef\xbb\xbf{}", "", "byte order mark"),
        (b'{"a":"\xff"}', "", "offset 6"),
        ('{"a":"\ud800"}'.encode("utf-8", "surrogatepass"), "", "UTF-8"),
        ('{"a":1}'.encode("utf-16"), "", "UTF-8"),
        (b'{"data":{"id":1,"x":2,"id":3}}', "/data/id", "more than once"),
        (b'{"a":1,"\\u0061":2}', "/a", "more than once"),
        (b'[{"a/b":{"~":1,"~":1}}]', "/0/a~1b/~0", "more than once"),
        (b'{"a":[1,NaN]}', "/a/1", "NaN"),
        (b"[Infinity]", "/0", "Infinity"),
        (b"-Infinity", "", "-Infinity"),
        (b"[1e400]", "/0", "too large"),
        (b"[-1E+999]", "/0", "too large"),
        (b"[0." + b"1" * 2000 + b"]", "/0", "too large or too long"),
        (b"[9223372036854775808]", "/0", "64 bits"),
        (b'{"v":-9223372036854775809}', "/v", "64 bits"),
        (b"[" + b"9" * 10_000 + b"]", "/0", "64 bits"),
        (b'{"a":{"b":"x\\ud83d"}}', "/a/b", "surrogate"),
        (b'{"a":{"x\\udc00":1}}', "/a", "key"),
        (b'["\\ude00\\ud83d"]', "/0", "surrogate"),
        (b'["a\nb"]', "", "not JSON"),
    ],
)
def test_what_is_refused_and_where(body: bytes, pointer: str, words: str) -> None:
    """A sentence, and the place as a JSON Pointer."""
    with pytest.raises(BadJson) as caught:
        loads(body)
    assert words in caught.value.detail
    assert caught.value.pointer == pointer
    str(caught.value).encode()


@pytest.mark.parametrize(
    "body", [b'"\\ud83d\\ude00"', b"9223372036854775807", b"-9223372036854775808", b"1e-400", b'{"a":{"a":{"a":1}}}', b'"\\\\ud800"']
)
def test_what_only_looks_wrong_is_read(body: bytes) -> None:
    """Pairs of surrogates, the last integers, a number that rounds to zero, equal keys in different objects."""
    assert loads(body) == json.loads(body)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
def test_depth_is_measured_before_parsing(opening: bytes) -> None:
    """64 levels pass, 65 do not, a hundred thousand neither and quickly; brackets in texts do not count."""
    levels = opening.count(b"[") + opening.count(b"{")
    closing = b"".join({b"[": b"]", b"{": b"}"}[bytes((c,))] for c in reversed(opening) if c in b"[{")
    fits = 64 // levels
    assert loads(opening * fits + b"1" + closing * fits)
    for many in (fits + 1, 100_000):
        with pytest.raises(BadJson, match="deep"):
            loads(opening * many + b"1" + closing * many)
    text = json.dumps(["[{" * 500, '"[' * 50, "\\[" * 50, '\\"[' * 70]).encode()
    assert loads(text) == json.loads(text)
    with pytest.raises(BadJson, match="more than 2 deep"):
        loads(b"[[[]]]", max_depth=2)


def test_recursion_is_impossible_whatever_depth_is_allowed() -> None:
    """A careless limit is still no crash."""
    with pytest.raises(BadJson, match="deep"):
        loads(b"[" * 500_000 + b"]" * 500_000, max_depth=10**6)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b"[]," * 300_000,
        b'"' + b"\\\\" * 500_000,
        b'["' + b'\\"[' * 300_000 + b'"]',
        b"[" + b"1" * 1_000_000 + b"]",
        b"[0." + b"1" * 1_000_000 + b"]",
        b'{"a":0,' * 100_000,
        b'"\\ud800' * 100_000,
    ],
    ids=range(8),
)
def test_a_megabyte_of_malice_is_refused_in_time(body: bytes) -> None:
    """Linear work, nothing more."""
    began = time.monotonic()
    try:
        value = loads(body)
    except BadJson:
        pass
    else:
        assert isinstance(value, list)
    assert time.monotonic() - began < 2


def test_numbers_keep_their_kind() -> None:
    """Integers stay integers, exactly; the rest are floats."""
    assert loads(b"[1, 9007199254740993, 1.0, 1e2, -0.0]") == [1, 9007199254740993, 1.0, 100.0, 0.0]
    value = loads(b"-0.0")
    assert isinstance(value, float)
    assert math.copysign(1, value) == -1
