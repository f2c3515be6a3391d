"""How a board fails: with every case that got through, as it was sent, and how many there were."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

CORPORA = Path(os.environ.get("PRESSRUN_TEST_DATA", str(Path(__file__).parents[3] / "shared" / "data"))) / "corpora"
_SHOWN = 25


def none_of(cases: Iterable[object], failed: Iterable[object], *, least: int) -> None:
    """Fail where a case failed, or where there were fewer than `least`: a corpus that has become empty proves nothing."""
    tried, wrong = len(list(cases)), [ascii(case)[:700] for case in failed]
    assert not wrong, "\n".join([f"{len(wrong)} of {tried} cases:", *wrong[:_SHOWN]])
    assert tried >= least, f"{tried} cases are no board; there were at least {least}"


def naughty() -> list[str]:
    """The Big List of Naughty Strings, as far as it is here."""
    path = CORPORA / "naughty-strings.json"
    return list(json.loads(path.read_bytes())) if path.exists() else []
