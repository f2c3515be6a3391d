"""Dialects: found by the names of their files, and the native one changes nothing."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import dialects as package
from pipeline.dialects import dialects, native
from pipeline.rules import schema
from tests.conftest import EXAMPLES

SAMPLES = sorted(EXAMPLES.glob("*.json"))
_single = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10)
_nested = st.recursive(_single, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4))


def test_every_file_is_a_dialect() -> None:
    """Adding a dialect is adding a file; `native` is one of them."""
    files = {path.stem for path in Path(package.__path__[0]).glob("*.py")} - {"__init__"}
    assert set(dialects()) == files
    assert "native" in files
    assert all(callable(dialect) for dialect in dialects().values())


def test_the_registry_hands_out_the_files_own_function() -> None:
    """The same each time."""
    assert dialects()["native"] is native.DIALECT
    assert dialects() is dialects()


def test_an_unknown_dialect_is_not_made_up() -> None:
    """The configuration names those there are."""
    assert dialects().get("unheard-of") is None


@given(_single | _nested)
def test_the_native_dialect_hands_a_payload_on_as_it_is(payload: Any) -> None:
    """The very object, unchanged: whatever JSON it is, judging is left to the schema."""
    before = copy.deepcopy(payload)
    assert dialects()["native"](payload) is payload
    assert payload == before


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_sample_is_native(path: Path) -> None:
    """What every dialect must make of its CMS's payload, the samples are already."""
    payload = json.loads(path.read_text("utf-8"))
    assert schema.problems("event.v1.json", dialects()["native"](payload)) == ()
