"""A TOML file with positions: where a wrong value stands, and where a secret really is."""

from __future__ import annotations

import os
import re
import tomllib
from typing import TYPE_CHECKING

from pipeline.kit import secrecy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")


def parse(text: str) -> dict[str, object]:
    """The TOML document as plain values. Raises ValueError with line and column for a syntax error."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        message = "lists and tables are nested too deep"
    raise ValueError(message)


def line_of_fault(text: str, fault: ValueError) -> int:
    """The 1-based line a syntax error names; the last one where it names the end of the document."""
    named = re.search(r"\(at line (\d+),", str(fault))
    return int(named[1]) if named else max(1, len(text.splitlines()))


def _parts(dotted: str) -> list[str]:
    return [part.strip().strip("\"'") for part in re.findall(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""", dotted)]


def line_of(text: str, path: Sequence[str | int]) -> int:
    """The 1-based line where the value at `path` stands, or that of the nearest table around it."""
    wanted = [str(part) for part in path if not isinstance(part, int)]
    table: list[str] = []
    best, best_length = 1, 0
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _parts(header[2])
            here = table
        elif key := _KEY.match(line):
            here = [*table, *_parts(key[1])]
        else:
            continue
        if len(here) > best_length and here == wanted[: len(here)]:
            best, best_length = number, len(here)
    return best


def secret(value: str, base: Path) -> str:
    """What `env:NAME` or `file:PATH` (relative to `base`) stands for, stripped of surrounding space.

    Raises ValueError with a sentence when it is neither, or not there, or empty. The value is in no message and no log.
    """
    kind, _, name = value.partition(":")
    if kind == "env":
        found = os.environ.get(name, "").strip()
        hint = f"environment variable {name} is not set"
    elif kind == "file":
        path = base / name
        found = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
        hint = f"file {path} is missing or empty"
    else:
        message = "a secret is written as env:NAME or file:PATH, never in clear"
        raise ValueError(message)
    if not found:
        raise ValueError(hint)
    secrecy.remember([found])
    return found
