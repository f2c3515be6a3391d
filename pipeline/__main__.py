"""`python3 -m pipeline`: the command line, on a bare Python too.

A checkout's two commands must work on a machine with nothing but Python 3.11, so this file is standard library only, and nothing else of
the package is imported before the environment is the one that the lock files describe:

    bare Python → lock → .venvs/<key>: venv, build.lock, run.lock, the project itself → stamp → .venv points there → the same command in it

The key is a digest of the lock files, the project's packaging, the interpreter and the path. An environment is made where it will stay (a
venv holds absolute paths, so it cannot be moved) and counts only once its stamp is written; `.venv` is a symbolic link, replaced in one
rename. A start that is killed half-way leaves nothing that a later one would use.

Everything said here goes to standard error: standard output belongs to `--json`.
"""
# No `from __future__ import annotations` and no newer syntax: Python 3.6 must be able to read this file, to be told that it is too old.

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)
USAGE, UNREACHABLE, INTERRUPTED = 2, 3, 130
ARRIVED = "_PRESSRUN_IN_ENVIRONMENT"
DEVELOPERS_VERBS = frozenset({"test", "bench", "faults"})


class SetupError(Exception):
    """Why there is no environment, as a sentence that says what to do; `code` is the exit code (2 usage, 3 something is missing)."""

    def __init__(self, code: int, sentence: str) -> None:
        """Keep the exit code beside the sentence."""
        super().__init__(sentence)
        self.code = code


class Environment(NamedTuple):
    """The virtual environment that a checkout wants under this interpreter.

    `wanted` is what its stamp must say: names of inputs → their digests. `dev.lock` is among them where the verb needs the test tools,
    but not part of the folder's name: the test tools are added to the environment that is there.
    """

    root: Path
    folder: Path
    wanted: "dict[str, str]"

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def stamp(self) -> Path:
        """The file that says what is installed; written last."""
        return self.folder / "pressrun-stamp.json"


def main() -> None:
    """Run the command line: here where the environment is right, else in the one made for it.

    Exits 2 on a Python older than 3.11, and 3 where the environment cannot be made.
    """
    if os.environ.pop(ARRIVED, "") or runs_here(ROOT, sys.argv[1:]):
        from pipeline.cli import main as command_line  # noqa: PLC0415 - its imports exist only in the right environment

        command_line()
        return
    try:
        python = prepare(ROOT, sys.argv[1:])
    except SetupError as error:
        say(str(error))
        sys.exit(error.code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    start_again(python)


def start_again(python: Path) -> NoReturn:
    """Replace this process by the same command under `python`; the mark in its environment, which it takes off, ends a would-be circle."""
    os.environ[ARRIVED] = "1"
    os.execv(str(python), [str(python), "-m", "pipeline", *sys.argv[1:]])  # noqa: S606 - the same command, no shell


def runs_here(root: Path, arguments: "list[str]") -> bool:
    """Whether the interpreter that runs this has what the command needs.

    True for an installed package (no lock files beside it), and in a virtual environment that someone made: the project's `.venv` from
    another tool, or any other in which pressrun is installed. The ones made here must be up to date.
    """
    if sys.version_info < OLDEST:
        return False
    if not ((root / "requirements" / "run.lock").is_file() and (root / "pyproject.toml").is_file()):
        return True
    if sys.prefix == sys.base_prefix:
        return False
    prefix = Path(sys.prefix).resolve()
    if prefix.parent == root / ".venvs":
        wanted = environment(root, arguments)
        return prefix == wanted.folder and is_ready(wanted)
    return prefix == root / ".venv" or is_installed()


def is_installed() -> bool:
    """Whether this interpreter has the distribution `pressrun`."""
    from importlib import metadata  # noqa: PLC0415 - younger than the Pythons that must get to read this file

    try:
        metadata.version("pressrun")
    except metadata.PackageNotFoundError:
        return False
    return True


def prepare(root: Path, arguments: "list[str]") -> Path:
    """Make the environment that these arguments need, if it is not there, and give its interpreter.

    Raises `SetupError`. Two starts at once: the second waits, and finds the work done.
    """
    if sys.version_info < OLDEST:
        raise SetupError(USAGE, too_old(sys.version.split()[0], sys.executable))
    wanted = environment(root, arguments)
    if is_ready(wanted):
        # In a checkout that is now read-only, or shared, the link is only a convenience.
        with contextlib.suppress(OSError):
            point(wanted)
        return wanted.python
    require_ensurepip()
    try:
        with locked(root):
            if not is_ready(wanted):
                make(wanted)
            point(wanted)
    except OSError as error:
        sentence = (
            f"{root / '.venvs'} cannot be written ({error.strerror or error}). Make room or give write access, or install into an"
            f' environment of your own: python3 -m venv FOLDER && FOLDER/bin/pip install "{root}[embedded,postgres,server]"'
        )
        raise SetupError(UNREACHABLE, sentence) from error
    return wanted.python


def too_old(version: str, executable: str) -> str:
    """Say what to do on a Python that is too old."""
    return (
        f"Pressrun needs Python {OLDEST[0]}.{OLDEST[1]} or newer; {executable} is {version}."
        " Start it with a newer one, for example: python3.12 -m pipeline demo"
    )


def environment(root: Path, arguments: "list[str]") -> Environment:
    """Say which environment the checkout at `root` wants for these arguments (the verb comes first among those without a dash).

    The interpreter counts by its ABI and place, not by its patch release: a security update of the system's Python must not make a
    restart depend on the network.
    """
    inputs = {
        "path": str(root),
        "interpreter": f"{sys.implementation.cache_tag} {sysconfig.get_platform()} {sys.base_prefix}",
        "packaging": packaging_digest(root / "pyproject.toml"),
        "build.lock": file_digest(root / "requirements" / "build.lock"),
        "run.lock": file_digest(root / "requirements" / "run.lock"),
    }
    key = digest(json.dumps(inputs, sort_keys=True).encode())[:12]
    verb = next((argument for argument in arguments if not argument.startswith("-")), "")
    if verb in DEVELOPERS_VERBS:
        inputs["dev.lock"] = file_digest(root / "requirements" / "dev.lock")
    return Environment(root, root / ".venvs" / key, inputs)


def digest(data: bytes) -> str:
    """Give the SHA-256 of some bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def file_digest(path: Path) -> str:
    """Give the SHA-256 of a file, in hex."""
    return digest(path.read_bytes())


def packaging_digest(pyproject: Path) -> str:
    """Give a digest of what an installation takes from pyproject.toml (metadata, scripts, packages): settings of linters do not count."""
    import tomllib  # noqa: PLC0415 - younger than the Pythons that must get to read this file

    tables = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    packaging = [tables.get("build-system"), tables.get("project"), tables.get("tool", {}).get("hatch")]
    return digest(json.dumps(packaging, sort_keys=True, default=str).encode())


def is_ready(wanted: Environment) -> bool:
    """Whether the environment is there, finished, and made from these inputs."""
    held = read_stamp(wanted.stamp)
    return all(held.get(name) == value for name, value in wanted.wanted.items()) and os.access(str(wanted.python), os.X_OK)


def read_stamp(path: Path) -> "dict[str, str]":
    """Read a stamp; one that is missing or broken says nothing."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return held if isinstance(held, dict) else {}


def require_ensurepip() -> None:
    """Refuse where the system's Python comes without ensurepip, which Debian and Ubuntu keep in a package of its own."""
    if importlib.util.find_spec("ensurepip") is None:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        default = os.path.realpath("/usr/bin/python3").endswith(version)
        package = "python3-venv" if default else f"python{version}-venv"
        raise SetupError(UNREACHABLE, f"This Python cannot make a virtual environment. Install what is missing: sudo apt install {package}")


@contextlib.contextmanager
def locked(root: Path) -> "Iterator[None]":
    """Hold the one lock for making environments in this checkout.

    pip inherits it: where a start is killed, the next one waits until its orphaned pip has ended too.
    """
    folder = root / ".venvs"
    folder.mkdir(exist_ok=True)
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    with (folder / "lock").open("a") as lock:
        os.set_inheritable(lock.fileno(), True)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another start is making .venv: waiting for it …")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make(wanted: Environment, run: "Callable[[list[str], Path], None] | None" = None) -> None:
    """Make the environment, or add the test tools to the one that is there, and write its stamp.

    `run(command, folder)` starts a program and raises `SetupError` if it fails.
    """
    run = run or run_quietly
    chosen = "dev.lock" if "dev.lock" in wanted.wanted else "run.lock"
    without_tools = wanted._replace(wanted={name: value for name, value in wanted.wanted.items() if name != "dev.lock"})
    if is_ready(without_tools):
        say("adding the test tools to .venv (first time only) …")
        install(wanted, run, "-r", f"requirements/{chosen}", "--require-hashes")
    else:
        say("making .venv (first start only) …")
        shutil.rmtree(str(wanted.folder), ignore_errors=True)
        run([sys.executable, "-I", "-m", "venv", str(wanted.folder)], wanted.root)
        # feedgen has no wheel: with what builds it pinned and installed first, nothing unpinned is fetched to build it.
        install(wanted, run, "-r", "requirements/build.lock", "--require-hashes")
        install(wanted, run, "-r", f"requirements/{chosen}", "--require-hashes")
        install(wanted, run, "-e", ".", "--no-deps")
    write_whole(wanted.stamp, json.dumps(wanted.wanted, indent=1, sort_keys=True))
    prune(wanted)


def install(wanted: Environment, run: "Callable[[list[str], Path], None]", *what: str) -> None:
    """Install into the environment, with the machine's own pip configuration (index, proxy, certificates).

    `-I`: a PYTHONPATH of the caller's would make pip think that what lies there is installed.
    """
    pip = [str(wanted.python), "-I", "-m", "pip", "install", "--quiet", "--no-input", "--no-user"]
    run([*pip, "--disable-pip-version-check", "--no-build-isolation", *cache_options(), *what], wanted.root)


def cache_options() -> "list[str]":
    """Tell pip to keep no cache where the home folder cannot be written."""
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises where there is no home
    return [] if "PIP_CACHE_DIR" in os.environ or os.access(home, os.W_OK) else ["--no-cache-dir"]


def run_quietly(command: "list[str]", folder: Path) -> None:
    """Run a program, silent if it goes well; else show all it said and raise `SetupError`."""
    # close_fds=False lets the lock through (see `locked`); Python marks every other descriptor as not inheritable.
    done = subprocess.run(  # noqa: S603 - our own arguments
        command, cwd=str(folder), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, close_fds=False, check=False
    )
    if done.returncode != 0:
        sys.stderr.write(done.stdout.decode("utf-8", "replace"))
        sentence = (
            "The environment could not be made; what went wrong is said above. Look whether the package index is reachable from here"
            " (pip's own configuration is used: index, proxy, certificates) and start again; nothing half-made is used."
        )
        raise SetupError(UNREACHABLE, sentence)


def write_whole(path: Path, text: str) -> None:
    """Write a file so that whoever reads it finds all of it or none."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


def point(wanted: Environment) -> None:
    """Have `.venv` point at the environment in use, so that `.venv/bin/pressrun` is there.

    A `.venv` that is a folder was made by someone else and stays.
    """
    link, target = wanted.root / ".venv", f".venvs/{wanted.folder.name}"
    if link.exists() and not link.is_symlink():
        return
    if link.is_symlink() and link.readlink() == Path(target):
        return
    fresh = wanted.root / ".venvs" / f"link.{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    fresh.symlink_to(target)
    fresh.replace(link)


def prune(wanted: Environment) -> None:
    """Remove older environments, except the one before this: processes that still run in it import from it."""
    others = [folder for folder in wanted.folder.parent.iterdir() if folder.is_dir() and folder != wanted.folder]
    for folder in sorted(others, key=lambda folder: folder.stat().st_mtime)[:-1]:
        shutil.rmtree(str(folder), ignore_errors=True)


def say(sentence: str) -> None:
    """Say one line to the person who started this."""
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
