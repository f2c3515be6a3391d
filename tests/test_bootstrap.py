"""The first start on a bare machine: which environment is made, when it is reused, and what is said when it cannot be made.

The steps that take long (venv, pip) are played by a function that leaves what they would leave; one test, for CI, does all of it for real.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline import __main__ as bootstrap

CHECKOUT = Path(__file__).resolve().parent.parent
LOCKS = CHECKOUT / "requirements"


class Machine:
    """Plays `python -m venv` and pip: notes each command, and leaves an interpreter where the venv would."""

    def __init__(self, *, fails_at: str = "never", seconds: float = 0.0) -> None:
        """Fail at the command with this word in it; take this long for each."""
        self.commands: list[list[str]] = []
        self.fails_at = fails_at
        self.seconds = seconds

    def __call__(self, command: list[str], folder: Path) -> None:
        """Run one command, in the checkout."""
        assert (folder / "pyproject.toml").is_file()
        self.commands.append(command)
        time.sleep(self.seconds)
        if any(self.fails_at in word for word in command):
            raise bootstrap.SetupError(bootstrap.UNREACHABLE, "the index does not answer")
        if command[2:4] == ["-m", "venv"]:
            python = Path(command[4]) / "bin" / "python"
            python.parent.mkdir(parents=True)
            python.symlink_to(sys.executable)

    @property
    def installed(self) -> list[str]:
        """The file or folder that each pip call installed from."""
        return [command[command.index(flag) + 1] for command in self.commands for flag in ("-r", "-e") if flag in command]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Make a checkout with the project's packaging and lock files, and no environment."""
    root = (tmp_path / "a check out").resolve()
    shutil.copytree(LOCKS, root / "requirements")
    shutil.copy(CHECKOUT / "pyproject.toml", root)
    return root


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Put a played machine in the place of the real one."""
    played = Machine()
    monkeypatch.setattr(bootstrap, "run_quietly", played)
    return played


def test_first_start_installs_the_locked_sets_in_order(checkout: Path, machine: Machine) -> None:
    """venv, then what builds, then what runs, then the project; the locked ones by hash, nothing built from unpinned parts."""
    python = bootstrap.prepare(checkout, ["demo", "--once"])
    assert python.parent.parent.parent == checkout / ".venvs"
    assert machine.installed == ["requirements/build.lock", "requirements/run.lock", "."]
    assert [("--require-hashes" in command) for command in machine.commands] == [False, True, True, False]
    assert all("--no-build-isolation" in command for command in machine.commands[1:])


def test_second_start_installs_nothing(checkout: Path, machine: Machine) -> None:
    """An environment with an equal stamp is used as it is."""
    first = bootstrap.prepare(checkout, ["demo"])
    done = len(machine.commands)
    assert bootstrap.prepare(checkout, ["--help"]) == first
    assert len(machine.commands) == done


@pytest.mark.parametrize("verb", sorted(bootstrap.DEVELOPERS_VERBS))
def test_developers_verbs_add_the_test_tools_once(checkout: Path, machine: Machine, verb: str) -> None:
    """`test` and `bench` add dev.lock to the environment that is there, and other verbs are content with it afterwards."""
    plain = bootstrap.prepare(checkout, ["demo"])
    assert bootstrap.prepare(checkout, ["--verbose", verb, "-x"]) == plain
    assert machine.installed[3:] == ["requirements/dev.lock"]
    bootstrap.prepare(checkout, [verb])
    bootstrap.prepare(checkout, ["demo"])
    assert len(machine.installed) == 4


def test_test_on_a_bare_machine_installs_one_set(checkout: Path, machine: Machine) -> None:
    """dev.lock holds all of run.lock: where `test` comes first, only the larger one is installed."""
    bootstrap.prepare(checkout, ["test"])
    assert machine.installed == ["requirements/build.lock", "requirements/dev.lock", "."]


@pytest.mark.parametrize("name", ["requirements/run.lock", "requirements/build.lock", "pyproject.toml"])
def test_changed_inputs_make_a_new_environment(checkout: Path, machine: Machine, name: str) -> None:
    """Another lock file or other packaging is another environment; the former stays for the processes that run in it."""
    before = bootstrap.prepare(checkout, ["demo"])
    changed = checkout / name
    text = changed.read_text(encoding="utf-8").replace('name = "pressrun"', 'name = "other"')
    changed.write_text(f"{text}# changed\n", encoding="utf-8")
    after = bootstrap.prepare(checkout, ["demo"])
    assert after != before
    assert before.exists()
    assert (checkout / ".venv").resolve() == after.parent.parent
    assert len(machine.installed) == 6


def test_settings_of_linters_do_not_make_a_new_environment(checkout: Path, machine: Machine) -> None:
    """What an installation does not take from pyproject.toml does not count."""
    before = bootstrap.prepare(checkout, ["demo"])
    with (checkout / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write("\n[tool.some-linter]\nline-length = 99\n")
    assert bootstrap.prepare(checkout, ["demo"]) == before
    assert len(machine.installed) == 3


def test_moved_checkout_makes_its_own_environment(checkout: Path, machine: Machine) -> None:
    """Scripts in an environment hold its path: after a move it is not reused."""
    bootstrap.prepare(checkout, ["demo"])
    moved = checkout.rename(checkout.with_name("elsewhere"))
    bootstrap.prepare(moved, ["demo"])
    assert len(machine.installed) == 6


@pytest.mark.usefixtures("machine")
def test_only_the_environment_before_is_kept(checkout: Path) -> None:
    """Old environments do not pile up."""
    made = []
    for number in range(4):
        (checkout / "requirements" / "run.lock").write_text(f"# {number}\n", encoding="utf-8")
        made.append(bootstrap.prepare(checkout, ["demo"]).parent.parent)
        os.utime(made[-1], (number, number))
    assert sorted(folder for folder in (checkout / ".venvs").iterdir() if folder.is_dir()) == sorted(made[-2:])


@pytest.mark.parametrize("step", ["venv", "build.lock", "run.lock", "-e"])
def test_a_failed_start_leaves_nothing_that_is_used(checkout: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Whichever step fails, there is no `.venv`, and the next start begins from nothing."""
    monkeypatch.setattr(bootstrap, "run_quietly", Machine(fails_at=step))
    with pytest.raises(bootstrap.SetupError) as caught:
        bootstrap.prepare(checkout, ["demo"])
    assert caught.value.code == 3
    assert not (checkout / ".venv").exists()
    good = Machine()
    monkeypatch.setattr(bootstrap, "run_quietly", good)
    bootstrap.prepare(checkout, ["demo"])
    assert len(good.commands) == 4


def test_failing_to_add_the_test_tools_keeps_the_environment(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`demo` still starts at once after a `test` that could not reach the index."""
    monkeypatch.setattr(bootstrap, "run_quietly", Machine())
    bootstrap.prepare(checkout, ["demo"])
    broken = Machine(fails_at="dev.lock")
    monkeypatch.setattr(bootstrap, "run_quietly", broken)
    with pytest.raises(bootstrap.SetupError):
        bootstrap.prepare(checkout, ["test"])
    bootstrap.prepare(checkout, ["demo"])
    assert len(broken.commands) == 1


@pytest.mark.parametrize("harm", ["{", "[]", ""])
def test_a_broken_stamp_counts_as_none(checkout: Path, machine: Machine, harm: str) -> None:
    """A stamp that cannot be read is no reason to trust what lies beside it."""
    python = bootstrap.prepare(checkout, ["demo"])
    (python.parent.parent / "pressrun-stamp.json").write_text(harm, encoding="utf-8")
    bootstrap.prepare(checkout, ["demo"])
    assert len(machine.installed) == 6


def test_an_environment_whose_python_is_gone_is_made_again(checkout: Path, machine: Machine) -> None:
    """The interpreter it was made from may have been removed."""
    python = bootstrap.prepare(checkout, ["demo"])
    python.unlink()
    python.symlink_to("/nonexistent/python")
    bootstrap.prepare(checkout, ["demo"])
    assert len(machine.installed) == 6


def test_starts_at_once_make_one_environment(checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The others wait, say so, and find the work done."""
    machine = Machine(seconds=0.05)
    monkeypatch.setattr(bootstrap, "run_quietly", machine)
    found: list[Path] = []
    starts = [threading.Thread(target=lambda: found.append(bootstrap.prepare(checkout, ["demo"]))) for _ in range(4)]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    assert found == [found[0]] * 4
    assert len(machine.commands) == 4
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("making .venv (first start only) …") == 1
    assert "waiting" in said.err


@pytest.mark.usefixtures("machine")
def test_someone_elses_venv_stays(checkout: Path) -> None:
    """A `.venv` folder made by another tool is neither replaced nor written to."""
    (checkout / ".venv" / "bin").mkdir(parents=True)
    python = bootstrap.prepare(checkout, ["demo"])
    assert python.is_relative_to(checkout / ".venvs")
    assert [path.name for path in (checkout / ".venv").rglob("*")] == ["bin"]


@pytest.mark.usefixtures("machine")
def test_a_dangling_venv_link_is_replaced(checkout: Path) -> None:
    """The link of a removed environment is ours to replace."""
    (checkout / ".venv").symlink_to("/nonexistent")
    python = bootstrap.prepare(checkout, ["demo"])
    assert (checkout / ".venv" / "bin" / "python").samefile(python)


@pytest.mark.usefixtures("machine")
def test_where_the_checkout_cannot_be_written_it_says_so(checkout: Path) -> None:
    """Exit 3, with what to do instead."""
    # A file in the folder's place, because root may write to a folder without write permission.
    (checkout / ".venvs").touch()
    with pytest.raises(bootstrap.SetupError, match=r"cannot be written .*pip install") as caught:
        bootstrap.prepare(checkout, ["demo"])
    assert caught.value.code == 3


def test_an_old_python_is_told(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 2 and the version that is needed."""
    monkeypatch.setattr(sys, "version_info", (3, 9, 18, "final", 0))
    assert not bootstrap.runs_here(checkout, [])
    with pytest.raises(bootstrap.SetupError, match=r"needs Python 3\.11 or newer") as caught:
        bootstrap.prepare(checkout, ["demo"])
    assert caught.value.code == 2


def test_a_python_without_ensurepip_is_told_the_package(checkout: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 3 and one line for apt, before anything is made."""
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(bootstrap.SetupError, match=r"sudo apt install python3(\.\d+)?-venv$") as caught:
        bootstrap.prepare(checkout, ["demo"])
    assert caught.value.code == 3
    assert machine.commands == []


def test_a_program_that_fails_is_shown_on_standard_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What it said on either stream is shown, and none of it on standard output."""
    program = "import sys; print('to out'); print('to err', file=sys.stderr); sys.exit(4)"
    with pytest.raises(bootstrap.SetupError, match="package index") as caught:
        bootstrap.run_quietly([sys.executable, "-c", program], tmp_path)
    assert caught.value.code == 3
    said = capfd.readouterr()
    assert (said.out, sorted(said.err.splitlines())) == ("", ["to err", "to out"])


def test_a_program_that_succeeds_is_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Warnings of an installation that went well help nobody."""
    bootstrap.run_quietly([sys.executable, "-c", "print('warning')"], tmp_path)
    assert capfd.readouterr() == ("", "")


def test_an_orphaned_installation_keeps_the_lock(checkout: Path) -> None:
    """Where a start is killed, the pip it began still writes: the lock lasts until that ends too."""
    program = (
        "import os, subprocess, sys; from pathlib import Path; from pipeline import __main__ as b\n"
        f"with b.locked(Path({str(checkout)!r})):\n"
        "    subprocess.Popen([sys.executable, '-c', 'input()'], close_fds=False)\n"
        "    os._exit(9)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=CHECKOUT, stdin=subprocess.PIPE) as start:
        assert start.wait() == 9
        with (checkout / ".venvs" / "lock").open("a") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        start.communicate(b"\n")
    with bootstrap.locked(checkout):
        pass


def no_home(folder: Path) -> Path:
    """Name a home folder that nobody can make, not even root: it would lie in a file."""
    (folder / "file").touch()
    return folder / "file" / "home"


def test_pip_keeps_no_cache_where_home_is_not_writable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A read-only home costs no warning; a cache folder that someone names is used."""
    monkeypatch.delenv("PIP_CACHE_DIR", raising=False)
    monkeypatch.setenv("HOME", str(no_home(tmp_path)))
    assert bootstrap.cache_options() == ["--no-cache-dir"]
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path))
    assert bootstrap.cache_options() == []
    monkeypatch.delenv("PIP_CACHE_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert bootstrap.cache_options() == []


def test_an_installed_package_runs_where_it_is(tmp_path: Path) -> None:
    """No lock files beside the package: whoever installed it has seen to what it needs."""
    assert bootstrap.runs_here(tmp_path, ["demo"])


def test_a_bare_python_does_not_run_here(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside every environment the command is started again in one."""
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    assert not bootstrap.runs_here(checkout, ["demo"])


@pytest.mark.parametrize("installed", [True, False])
def test_another_environment_runs_here_if_pressrun_is_in_it(checkout: Path, monkeypatch: pytest.MonkeyPatch, *, installed: bool) -> None:
    """One that a person made and installed the project in is theirs to keep up to date."""
    monkeypatch.setattr(sys, "prefix", "/home/someone/env")
    monkeypatch.setattr(bootstrap, "is_installed", lambda: installed)
    assert bootstrap.runs_here(checkout, ["demo"]) is installed


@pytest.mark.usefixtures("machine")
def test_inside_our_environment_only_an_up_to_date_one_runs_here(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`.venv/bin/python -m pipeline` notices changed lock files and missing test tools too."""
    bootstrap.prepare(checkout, ["demo"])
    monkeypatch.setattr(sys, "prefix", str(checkout / ".venv"))
    assert bootstrap.runs_here(checkout, ["demo"])
    assert not bootstrap.runs_here(checkout, ["test"])
    with (checkout / "requirements" / "run.lock").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert not bootstrap.runs_here(checkout, ["demo"])


STAND_IN = """
import json, os, sys
import celery, feedgen.feed, lxml, psycopg, sqlalchemy
def main():
    print(json.dumps({"arguments": sys.argv[1:], "prefix": sys.prefix, "mark": os.environ.get("_PRESSRUN_IN_ENVIRONMENT")}))
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(os.environ.get("PRESSRUN_TEST_BOOTSTRAP") != "1", reason="installs everything; PRESSRUN_TEST_BOOTSTRAP=1 runs it")
def test_a_bare_machine_starts_for_real(tmp_path: Path) -> None:
    """No pip in reach, no home, a path of more than 120 characters with a space: the command runs, and its script does too.

    A stand-in for the command line says where it was started; the rest is the checkout's own.
    """
    root = tmp_path.resolve() / "news room" / ("x" * max(1, 125 - len(f"{tmp_path.resolve()}/news room/")))
    (root / "pipeline" / "cli").mkdir(parents=True)
    for name in ("pyproject.toml", "LICENSE", "pressrun.example.toml", "pipeline/__init__.py", "pipeline/__main__.py"):
        shutil.copy(CHECKOUT / name, root / name)
    shutil.copytree(LOCKS, root / "requirements")
    for name in ("tasks", "schemas"):
        (root / name).mkdir()
    (root / "README.md").touch()
    (root / "pipeline" / "cli" / "__init__.py").write_text(STAND_IN, encoding="utf-8")
    bare = [str(getattr(sys, "_base_executable", sys.executable)), "-S"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "COV_"))}
    variables = kept | {"HOME": str(no_home(tmp_path))}

    def start(command: list[str]) -> tuple[dict[str, object], str]:
        done = subprocess.run(command, cwd=root, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), done.stderr

    assert subprocess.run([*bare, "-c", "import pip"], capture_output=True, check=False).returncode != 0
    first, said = start([*bare, "-m", "pipeline", "demo", "--site", "a b"])
    assert said == "making .venv (first start only) …\n"
    assert first["arguments"] == ["demo", "--site", "a b"]
    assert first["mark"] is None
    assert Path(str(first["prefix"])).parent == root / ".venvs"
    again, silence = start([*bare, "-m", "pipeline", "demo"])
    assert (again["prefix"], silence) == (first["prefix"], "")
    by_script, silence = start([str(root / ".venv" / "bin" / "pressrun"), "status"])
    assert (by_script["arguments"], silence) == (["status"], "")
