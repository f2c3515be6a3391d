"""The process that stays is small."""

from __future__ import annotations

import subprocess
import sys


def test_the_supervisor_imports_neither_database_nor_broker_nor_web() -> None:
    """It only watches; what needs them ran in a child that ended."""
    heavy = ("sqlalchemy", "redis", "celery", "kombu", "lxml", "jsonschema", "starlette", "requests", "jinja2", "regex")
    script = f"import sys, pipeline.cli, pipeline.cli.up; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
