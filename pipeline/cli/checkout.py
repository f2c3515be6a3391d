"""What only a checkout can do: run a module of its own that no wheel brings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli import USAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]


def run(folder: str, words: str, module: str, arguments: Sequence[str]) -> int:
    """Run `python -m MODULE ARGUMENTS` in the checkout; its exit code, or 2 where `folder` is not there. `words` name what is missing."""
    if not (ROOT / folder).is_dir():
        click.echo(f"There are no {words} here: they come with a checkout, not with the installed package.", err=True)
        return USAGE
    return subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT, check=False).returncode  # noqa: S603
