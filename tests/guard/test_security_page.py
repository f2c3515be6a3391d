"""The page on what a newsroom may rely on: each sentence of its tables names the test that holds it, and that test is there."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "security.md"
ROW = re.compile(r"^\| (?P<sentence>.+?) \| `(?P<file>test_\w+\.py)::(?P<test>test_\w+)` \|$", re.MULTILINE)


def test_each_sentence_is_held_by_a_test() -> None:
    """None without, and none with one that is gone."""
    text = PAGE.read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and line != "| sentence | held by |"]
    found = [ROW.fullmatch(line) for line in rows]
    assert len(rows) > 15
    assert all(found), [line for line, match in zip(rows, found, strict=True) if match is None]
    for match in found:
        assert match is not None
        source = (Path(__file__).parent / match["file"]).read_text(encoding="utf-8")
        assert f"def {match['test']}(" in source, match["test"]
