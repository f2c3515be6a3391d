"""The lock files: what a first start downloads is pinned, hashed, and the same in tests and production."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

LOCKS = Path(__file__).resolve().parent.parent / "requirements"
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)


def pins(name: str) -> dict[str, str]:
    """Read the versions that a lock file pins, by distribution."""
    return dict(PIN.findall((LOCKS / name).read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", ["build.lock", "run.lock", "dev.lock", "flower.lock"])
def test_lock_files_name_no_place_and_hash_everything(name: str) -> None:
    """No index, link or path of a machine stands in them, and every requirement has a hash."""
    text = (LOCKS / name).read_text(encoding="utf-8")
    content = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    assert "://" not in text
    assert not re.search(r"^-|(?:^|\s)/\w|file:", content, re.MULTILINE)
    requirements = re.split(r"^(?=\S)", content, flags=re.MULTILINE)[1:]
    assert len(requirements) == len(pins(name)) > 5
    assert all("--hash=sha256:" in requirement for requirement in requirements)


@pytest.mark.parametrize("smaller", ["build.lock", "run.lock"])
def test_tests_run_what_production_runs(smaller: str) -> None:
    """dev.lock pins the same versions, and all of run.lock."""
    larger = pins("dev.lock")
    assert {name: version for name, version in pins(smaller).items() if larger.get(name, version) != version} == {}
    if smaller == "run.lock":
        assert pins(smaller).keys() <= larger.keys()
