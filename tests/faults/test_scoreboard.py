"""The scoreboard says what was measured and never more: a line that counts something, or is not there, is not good."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from tests.faults import scoreboard
from tests.faults.__main__ import chosen, main, under_way, verdict
from tests.faults.scoreboard import Figure, Score

if TYPE_CHECKING:
    from pathlib import Path


def line(**changes: Any) -> dict[str, Any]:
    """A good line as it stands in a file of results."""
    score = Score("FT2", "busy broker", "sqlite", seed=7, passed=True, seconds=12.4)
    score.note("resumed p95", 0.21, target=3.0)
    return {**score.to_json(), **changes}


@pytest.mark.parametrize(("only", "names"), [("FT3,ft1", ["FT1", "FT3"]), (" ft13 , ", ["FT13"]), ("", list(scoreboard.NAMES))])
def test_tests_are_chosen_by_name_in_the_boards_order(only: str, names: list[str]) -> None:
    """In any case of letters; nothing named is everything."""
    assert chosen(only) == names


def test_a_test_there_is_not_is_refused_with_those_there_are() -> None:
    """Rather than to run nothing and call it good."""
    with pytest.raises(click.BadParameter, match=r"FT99: expected some of FT1 \(kill storm\)"):
        chosen("FT1,FT99")


@pytest.mark.parametrize(("arguments", "code"), [(["--only", "FT99"], 2), (["--times", "0"], 2), (["--nothing"], 2), (["--help"], 0)])
def test_usage_that_is_wrong_exits_with_2(arguments: list[str], code: int) -> None:
    """As all of `pressrun` does; nothing is run."""
    assert CliRunner().invoke(main, arguments).exit_code == code


def test_help_names_every_test() -> None:
    """Nobody has to read the source for it."""
    told = CliRunner().invoke(main, ["--help"]).output
    assert [name for name, what in scoreboard.NAMES.items() if f"{name} " not in told or what not in told] == []


def test_a_good_board_exits_with_0() -> None:
    """Missed targets are told and fail nothing."""
    slow = Score("FT2", "busy broker", passed=True)
    slow.note("resumed p95", 9.0, target=3.0)
    assert verdict([line(), slow.to_json()], []) == (0, [])


@pytest.mark.parametrize("kind", scoreboard.COUNTS)
def test_a_line_that_counts_something_exits_with_1_and_says_what(kind: str) -> None:
    """Also where its test passed."""
    score = Score("FT2", "busy broker", "sqlite", passed=True)
    score.count(kind, ["this and that"])
    assert not score.clean
    assert verdict([line(), score.to_json()], []) == (1, [f"FT2 busy broker (sqlite): {kind}: this and that"])


def test_a_test_that_failed_exits_with_1() -> None:
    """Even with nothing counted, and with no word of its own."""
    assert verdict([line(passed=False)], []) == (1, ["FT2 busy broker (sqlite): failed without a word"])


def test_a_test_without_a_line_exits_with_1() -> None:
    """It was asked for and did not run."""
    missing = scoreboard.absent([line()], ["FT2", "FT3"])
    assert verdict([line()], missing) == (1, ["did not run: FT3"])


def test_the_table_shows_counts_figures_and_missed_targets() -> None:
    """In the order of the tests' numbers, however they came."""
    score = Score("FT10", "readers", passed=True, malformed=2)
    score.note("reads", 12345, "", target=10_000, at_most=False)
    score.note("p99", 7.5, target=6.0)
    head, first, second = scoreboard.table([score.to_json(), line()]).splitlines()
    assert head.split()[:7] == ["test", "what", "database", "lost", "double", "stuck", "malformed"]
    assert first.split()[:2] == ["FT2", "busy"]
    assert first.endswith("good     resumed p95 0.21 s")
    assert second.split()[:9] == ["FT10", "readers", "-", "0", "0", "0", "2", "0", "FAILED"]
    assert second.endswith("reads 12,345  · p99 7.50 s (target ≤ 6)")


@pytest.mark.parametrize(
    ("figure", "reached"), [(Figure(1.0), None), (Figure(3.0, target=3.0), True), (Figure(2.0, target=3.0, at_most=False), False)]
)
def test_a_target_is_a_bound_from_one_side(figure: Figure, *, reached: bool | None) -> None:
    """At most, unless it says at least; none where there is none."""
    assert figure.reached is reached


def test_lines_are_added_to_the_file_of_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One after the other, also from several processes; and printed."""
    monkeypatch.setenv(scoreboard.TO, str(tmp_path / "results"))
    for name in ("FT1", "FT2"):
        Score(name, "something").tell()
    assert [found["test"] for found in scoreboard.load(tmp_path / "results")] == ["FT1", "FT2"]
    assert [json.loads(said)["test"] for said in capsys.readouterr().out.splitlines()] == ["FT1", "FT2"]


def test_the_test_under_way_is_read_from_what_pytest_said() -> None:
    """It names a test before it runs it, and ends the line after."""
    done = "tests/faults/test_kill_storm.py::test_kill_storm[sqlite] PASSED [ 50%]\n"
    assert under_way(done + "tests/faults/test_busy_broker.py::test_busy_broker ") == "busy broker …"
    assert under_way(done) == ""
