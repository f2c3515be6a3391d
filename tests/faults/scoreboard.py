"""The scoreboard of faults: one line for each test and database, as JSON while it runs and as a table at the end.

A line counts what must never be: **lost** (acknowledged, and not where it must be), **double** (there twice), **stuck** (neither
settled nor told why), **malformed** (read by somebody and not well-formed, or older than what they had read before). Times
stand beside their target and decide nothing: a machine under load is slow, and a test that fails for it is worth nothing.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TO = "PRESSRUN_FAULT_RESULTS"
"""The file that lines are added to; none where it is not set."""

COUNTS = ("lost", "double", "stuck", "malformed")

NAMES = {
    "FT1": "kill storm",
    "FT2": "busy Redis killed",
    "FT3": "half-open network",
    "FT4": "Redis amnesia",
    "FT5": "accept or refuse",
    "FT6": "database bounce",
    "FT7": "mirror chaos",
    "FT8": "order",
    "FT9": "flood of doubles",
    "FT10": "readers",
    "FT11": "full disk",
    "FT12": "clocks",
    "FT13": "poison envelopes",
    "FT14": "poison article",
    "FT15": "rolling restart",
    "FT16": "split brain",
    "FT17": "long outage",
    "FT18": "soak",
    "FT19": "hub",
    "FT20": "slow loris",
}
"""Each test of the scoreboard, as `pytest.mark.fault` names it."""


@dataclass(frozen=True, slots=True)
class Figure:
    """Something measured: its unit, and the bound it is held against where there is one."""

    value: float
    unit: str = "s"
    target: float | None = None
    at_most: bool = True

    @property
    def reached(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.target is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target

    def __str__(self) -> str:
        """Value and unit; the target where it is missed."""
        told = f"{self.value:,.{2 if self.value < 10 else 0}f} {self.unit}"
        return told if self.reached is not False else f"{told} (target {'≤' if self.at_most else '≥'} {self.target:g})"


@dataclass
class Score:
    """One line. `note` and `problem` while the test runs; the `score` fixture tells it at the end."""

    test: str
    what: str
    database: str = ""
    seed: int = 0
    lost: int = 0
    double: int = 0
    stuck: int = 0
    malformed: int = 0
    figures: dict[str, Figure] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    passed: bool = False
    seconds: float = 0.0

    def note(self, name: str, value: float, unit: str = "s", *, target: float | None = None, at_most: bool = True) -> None:
        """Measure something; `target` stands in `reliability`'s words, and missing it fails nothing."""
        self.figures[name] = Figure(value, unit, target, at_most)

    def count(self, kind: str, problems: Iterable[str]) -> None:
        """Count each of these sentences as one `lost`, `double`, `stuck` or `malformed`."""
        for problem in problems:
            setattr(self, kind, getattr(self, kind) + 1)
            self.problems.append(f"{kind}: {problem}")

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, doubled, stuck or malformed."""
        return not any(getattr(self, kind) for kind in COUNTS)

    def to_json(self) -> dict[str, Any]:
        """The line for programs."""
        figures = {name: {**asdict(figure), "reached": figure.reached} for name, figure in self.figures.items()}
        return {**asdict(self), "figures": figures, "problems": self.problems[:20]}

    def tell(self) -> None:
        """Print the line, and add it to the file of results."""
        line = json.dumps(self.to_json(), ensure_ascii=False)
        print(line)  # noqa: T201 - for whoever runs the test by hand
        if to := os.environ.get(TO):
            with Path(to).open("a", encoding="utf-8") as file:
                file.write(line + "\n")


def load(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of results."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def good(line: dict[str, Any]) -> bool:
    """Whether a line's test passed with nothing to count."""
    return bool(line["passed"]) and not any(line[kind] for kind in COUNTS)


def absent(lines: Sequence[dict[str, Any]], asked: Iterable[str]) -> list[str]:
    """Tests that were asked for and have no line."""
    seen = {line["test"] for line in lines}
    return [name for name in asked if name not in seen]


_HEAD = ("test", "what", "database", *COUNTS, "s", "verdict", "measured")


def table(lines: Sequence[dict[str, Any]]) -> str:
    """The scoreboard for people."""
    ordered = sorted(lines, key=lambda line: (int(line["test"][2:]), line["what"], line["database"]))
    rows = [_row(line) for line in ordered]
    widths = [max(len(row[i]) for row in [_HEAD, *rows]) for i in range(len(_HEAD))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [_HEAD, *rows])


def _row(line: dict[str, Any]) -> tuple[str, ...]:
    figures = {name: Figure(**{key: made[key] for key in ("value", "unit", "target", "at_most")}) for name, made in line["figures"].items()}
    told = " · ".join(f"{name} {figure}" for name, figure in figures.items())
    verdict = "good" if good(line) else "FAILED"
    counts = (str(line[kind]) for kind in COUNTS)
    return (line["test"], line["what"], line["database"] or "-", *counts, f"{line['seconds']:.0f}", verdict, told)
