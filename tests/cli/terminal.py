"""Verbs as a person runs them: a process of their own, in a folder of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def environment() -> dict[str, str]:
    """The test's own, without what would lead a child elsewhere."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PRESSRUN_", "PROMETHEUS_", "PYTEST_"))}
    return {**kept, "PYTHONPATH": str(ROOT)}


def pressrun(folder: Path, *arguments: str, seconds: float = 90, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a verb to its end; `more` are environment variables."""
    command = [sys.executable, "-c", "from pipeline.cli import main; main()", *arguments]
    given = {**environment(), **more}
    return subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True, timeout=seconds, check=False)
