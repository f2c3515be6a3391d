"""Board: files and words given to the verbs. An exit code of design.md section 7 and a sentence; never a traceback, never a hang."""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.cli import main
from pipeline.context import open_context, register
from pipeline.ledger.upgrade import upgrade
from tests.boards import bodies
from tests.boards.board import naughty, none_of
from tests.boards.strings import XML
from tests.cli.terminal import pressrun
from tests.conftest import CONFIG, SECRET, article

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GOOD, NO, USAGE, UNREACHABLE = 0, 1, 2, 3


@dataclass(frozen=True)
class Done:
    """How a verb ended."""

    code: object
    out: str
    err: str

    def fault(self, *allowed: int) -> str:
        """Empty for an allowed code, with a sentence where it is not 0; else what was wrong."""
        if self.code not in allowed:
            return f"{self.code}: {(self.out + self.err)[-300:]}"
        said = (self.out + self.err).strip()
        return "" if self.code == GOOD or (said and "Traceback" not in said) else f"{self.code} and {said[-300:]}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A newsroom with its ledger and nobody who answers; the verbs run in its folder."""
    made = tmp_path_factory.mktemp("files")
    (made / "pressrun.toml").write_text(CONFIG.replace("env:PRESSRUN_TEST_SECRET", "file:secret").replace("8499", "1"))
    (made / "secret").write_text(SECRET)
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PRESSRUN_")]:
            patch.delenv(name)
        patch.chdir(made)
        patch.setattr("pipeline.cli.sending.PATIENCE", 0.0)
        context = open_context(made / "pressrun.toml")
        upgrade(context.ledger.url)
        register(context)
        context.close()
        yield made


def run(*arguments: str) -> Done:
    """A verb in this process: everything it raises past its own exit is a fault."""
    out, err = io.StringIO(), io.StringIO()
    code: object = "no exit"
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(list(arguments))
        except SystemExit as ended:
            code = ended.code
        except BaseException as error:  # noqa: BLE001 - what the board is there to find
            code = repr(error)
    return Done(code, out.getvalue(), err.getvalue())


def given(folder: Path) -> Iterator[str]:
    """Names of things in the folder that are no article."""
    for number, (body, _) in enumerate((*bodies.encodings(), *bodies.numbers())):
        (folder / f"body{number}.json").write_bytes(body)
        yield f"body{number}.json"
    made = {
        "empty": b"",
        "blank": b" \n",
        "binary": bytes(range(256)) * 300,
        "zip": b"PK\x03\x04" + b"\0" * 100,
        "html": b"<html>",
        "huge": b"[" + b"0," * 600_000 + b"0]",
        "wide": b'"' + b"x" * 2_000_000 + b'"',
    }
    for name, body in made.items():
        (folder / name).write_bytes(body)
        yield name
    values: list[Any] = [None, 1, "x", [], {}, {"data": None}, {"type": 1}, {"type": [], "data": 5}, {"data": []}, {"id": []}]
    values += [{"type": "article.published"}, {"type": "article.withdrawn", "data": {"id": 1}}]
    for value in values:
        name = f"value-{len(json.dumps(value))}-{type(value).__name__}"
        (folder / name).write_text(json.dumps(value))
        yield name


NOT_FILES = (
    "none.json",
    "",
    ".",
    "/",
    "loop",
    "pipe",
    "socket",
    "sub",
    "sub/x",
    "none\n",
    "a" * 300,
    "x/" * 2000,
    "pressrun.toml/x",
    "\udcff",
    "-",
    "--",
    "~",
    "*",
    "good.json\\",
)


@pytest.mark.parametrize("verb", ["validate", "explain", "preview", "publish"])
def test_a_file_that_is_no_article_is_told_so(folder: Path, verb: str) -> None:
    """Offline verbs say what is wrong with it; publish does, or says that nobody answers."""
    more = ["--out", "preview"] if verb == "preview" else []
    allowed = (NO,) if verb != "publish" else (NO, USAGE, UNREACHABLE)
    names = list(given(folder))
    failed = []
    for name in names:
        taken = (GOOD,) if name.startswith("body") else ()  # some of these are good articles in an odd dress
        if found := run(verb, name, *more).fault(*allowed, *taken):
            failed.append((verb, name, found))
    none_of(names, failed, least=90)


@pytest.mark.parametrize("verb", ["validate", "explain", "preview", "publish"])
def test_what_is_no_file_is_a_mistake_of_usage(folder: Path, verb: str) -> None:
    """Missing, a folder, a loop, a name no system takes: exit code 2 and the name."""
    (folder / "sub").mkdir(exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (folder / "loop").symlink_to("loop")
    names = [name for name in NOT_FILES if name not in {"pipe", "socket"}]
    more = ["--out", "preview"] if verb == "preview" else []
    failed = [(name, found) for name in names if (found := run(verb, *more, "--", name).fault(USAGE))]
    none_of(names, failed, least=15)


def test_a_socket_in_the_place_of_a_file_hangs_nobody(folder: Path) -> None:
    """It cannot be read, and that is said."""
    with socket.socket(socket.AF_UNIX) as listener, contextlib.suppress(OSError):
        listener.bind("socket")
    assert run("validate", "socket").fault(USAGE) == ""


@pytest.mark.parametrize("verb", ["validate", "explain", "preview", "publish", "status", "withdraw", "config", "doctor", "verify", "drain"])
def test_options_that_say_nothing_are_mistakes_of_usage(folder: Path, verb: str) -> None:
    """A configuration that is none, a source that is none, options that are none."""
    (folder / "good.json").write_text(json.dumps(article()))
    (folder / "bad.toml").write_bytes(bytes(range(256)))
    first = {
        "validate": ["good.json"],
        "explain": ["good.json"],
        "preview": ["good.json", "--out", "p"],
        "publish": ["good.json"],
        "withdraw": ["a-1"],
        "config": ["check"],
    }.get(verb, [])
    wrong = [["--config", name] for name in ("none.toml", ".", "bad.toml", "good.json", "\udcff", "a" * 300, "")] + [
        ["--no-such"],
        ["--no-such=1"],
        ["-Z"],
        ["--json=maybe"],
        ["--\u0430"],
    ]
    if verb in {"validate", "explain", "preview", "publish", "withdraw"}:
        wrong += [["--source", name] for name in ("none", " ", "\n", "a" * 5000, "\udcff", "../x", "newsroom\0")]
    failed = [(verb, more, found) for more in wrong if (found := run(verb, *first, *more).fault(USAGE))]
    none_of(wrong, failed, least=12)


@pytest.mark.parametrize("verb", ["status", "withdraw"])
def test_an_article_that_is_none_is_not_found(folder: Path, verb: str) -> None:
    """Whatever stands in the place of its id."""
    texts = [text for text in dict.fromkeys((*XML, *naughty()[:60], "\0", "\udcff", "x" * 100_000, "a-1", "\n")) if text]
    failed = [(verb, text, found) for text in texts if (found := run(verb, "--", text).fault(NO))]
    none_of(texts, failed, least=40)


def test_a_preview_goes_nowhere_it_cannot(folder: Path) -> None:
    """A file, a place that is not ours, a name no system takes."""
    (folder / "good.json").write_text(json.dumps(article()))
    places = ("good.json", "/proc/none", "good.json/x", "a" * 300, "/dev/null")
    failed = [(place, found) for place in places if (found := run("preview", "good.json", "--out", place).fault(USAGE))]
    assert failed == []


def test_a_process_of_its_own_ends_the_same(folder: Path) -> None:
    """As a person runs it, with an unreadable byte in the name and nothing on standard input."""
    (folder / "binary").write_bytes(bytes(range(256)))
    for arguments, code in ((["publish", "binary"], USAGE), (["withdraw", "\udcff"], NO)):
        done = pressrun(folder, *arguments)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
