"""Texts that are sealed, and the keys they are sealed with."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kit.sealing import Sealer, Unsealable, check_key, kept_key

if TYPE_CHECKING:
    from pathlib import Path

ONE, TWO = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=250))
def test_what_is_sealed_comes_back_and_is_never_the_same(text: str) -> None:
    """Any text; two sealings of one text differ."""
    sealer = Sealer([ONE])
    sealed, again = sealer.seal(text), sealer.seal(text)
    assert sealer.open(sealed) == sealer.open(again) == text
    assert sealed != again
    assert sealed.isascii()


def test_the_first_key_seals_and_any_of_them_reads() -> None:
    """So that a key can be exchanged."""
    sealed = Sealer([ONE]).seal("words")
    assert Sealer([TWO, ONE]).open(sealed) == "words"
    with pytest.raises(Unsealable):
        Sealer([TWO]).open(sealed)
    with pytest.raises(Unsealable):
        Sealer([ONE]).open(Sealer([TWO, ONE]).seal("words"))


@pytest.mark.parametrize("sealed", ["", "words", "gAAAAA", "\u20ac"])
def test_what_nobody_sealed_is_not_read(sealed: str) -> None:
    """Whatever it is."""
    with pytest.raises(Unsealable):
        Sealer([ONE]).open(sealed)


@pytest.mark.parametrize("text", ["", "short", base64.b64encode(b"x" * 31).decode(), base64.b64encode(b"x" * 33).decode(), "\u20ac" * 44])
def test_what_is_no_key_is_refused_without_being_repeated(text: str) -> None:
    """32 bytes in base64, of either alphabet, with a line end or without."""
    with pytest.raises(ValueError, match="32 bytes") as caught:
        check_key(text)
    assert not text or text not in str(caught.value)
    check_key(ONE + "\n")
    check_key(base64.urlsafe_b64encode(b"\xff" * 32).decode())


def test_the_kept_key_is_one_for_all_who_ask_at_once(tmp_path: Path) -> None:
    """Whoever comes first makes it; no half of one is ever read."""
    path = tmp_path / "data" / "hub.key"
    with ThreadPoolExecutor(8) as several:
        keys = set(several.map(lambda _: kept_key(path), range(40)))
    assert len(keys) == 1
    check_key(keys.pop())
    assert [file.name for file in path.parent.iterdir()] == ["hub.key"]
