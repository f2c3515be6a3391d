"""The process that stays is small."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pipeline.cli import supervisor

if TYPE_CHECKING:
    from pathlib import Path


def test_the_supervisor_imports_neither_database_nor_broker_nor_web() -> None:
    """It only watches; what needs them ran in a child that ended."""
    heavy = ("sqlalchemy", "redis", "celery", "kombu", "lxml", "jsonschema", "starlette", "requests", "jinja2", "regex")
    script = f"import sys, pipeline.cli, pipeline.cli.up; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_log_of_the_run_before_is_kept_once(tmp_path: Path) -> None:
    """As `….log.1`; a run that said nothing takes nothing away."""
    log, former = tmp_path / "web.log", tmp_path / "web.log.1"
    for run in ("first", "second"):
        log.write_text(f"{run}\n")
        supervisor.put_aside(log)
        assert not log.exists()
        assert former.read_text() == f"{run}\n"
    log.touch()
    supervisor.put_aside(log)
    supervisor.put_aside(tmp_path / "none.log")
    assert former.read_text() == "second\n"


def test_of_a_long_log_the_last_whole_lines_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk must not fill with what nobody reads."""
    monkeypatch.setattr(supervisor, "KEPT_LOG", 20)
    log = tmp_path / "web.log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    supervisor.put_aside(log)
    assert (tmp_path / "web.log.1").read_text() == "line 98\nline 99\n"


@pytest.mark.parametrize(("processors", "expected"), [(1, 1), (2, 1), (3, 2), (64, 2)])
def test_craft_has_no_more_processes_than_there_are_processors_for_them(processors: int, expected: int) -> None:
    """One is left to mirrors, payloads and the web; the ledger has one writer at a time, so more than two would wait for it."""
    assert supervisor.craft_processes(processors) == expected
