"""The docs say what the program does: every name is explained, every link leads somewhere, every command runs as written.

A page that is wrong is worse than none, and nobody reads all of them after a change; this file does.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner
from prometheus_client import generate_latest

import pipeline
from pipeline import settings as settings_file
from pipeline.backends import kinds
from pipeline.cli import VERBS, pressrun
from pipeline.dialects import dialects
from pipeline.formats import FORMATS, partners
from pipeline.kit import metrics  # noqa: F401 - having it imported registers the metrics
from pipeline.model.event import EventState
from pipeline.model.run import Step
from pipeline.networks import NETWORKS
from pipeline.rules import schema
from pipeline.web import openapi

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
FILES = [*(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG", "SECURITY")), *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in FILES}
EVERYTHING = "\n".join(PAGES.values())
EXAMPLE = (ROOT / "pressrun.example.toml").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STEPS = ("accept", *(step.value for step in Step))
METRICS = re.findall(r"^# TYPE (pressrun_(?!\w+_created )\w+) ", generate_latest().decode(), re.MULTILINE)
NAMES = {
    "verb": VERBS,
    "step": STEPS,
    "metric": METRICS,
    "network": tuple(NETWORKS),
    "format": tuple(FORMATS),
    "partner": partners.names(),
    "dialect": tuple(dialects()),
    "backend": kinds(),
    "answer of the status address": ("accepted", *(s.value for s in EventState if s is not EventState.WAITING)),
}
WORDS = """
site source dialect event article revision outlet feed mirror network delivery attempt document backend origin nudge rejection
waiting pending settled posting retrying failed unknown skipped paused
"""


def rows(page: str) -> dict[str, list[str]]:
    """First cell without its marks → the other cells, of every table of a page."""
    found = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in page.splitlines() if line.startswith("| ")]
    return {cells[0].strip("`*"): cells[1:] for cells in found}


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a language, as they are to be pasted."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGES[page], re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in NAMES.items() for name in names])
def test_every_name_is_explained(kind: str, name: str) -> None:
    """What a person meets in a terminal, a file or a dashboard stands in the docs, marked as a name."""
    assert re.search(rf"`{re.escape(name)}`|`pressrun {re.escape(name)}", EVERYTHING), f"the {kind} {name} is nowhere explained"


def test_every_metric_was_counted() -> None:
    """The list above found the metrics, and the table of metrics names none that is gone."""
    assert len(METRICS) > 10
    assert {name for name in rows(PAGES["docs/operating.md"]) if name.startswith("pressrun_")} == set(METRICS)


def test_every_environment_variable_is_explained() -> None:
    """Those the program reads, and those of the chores."""
    sources = [*ROOT.glob("pipeline/**/*.py"), *ROOT.glob("tasks/*.py"), ROOT / "run", ROOT / ".ci" / "run"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    names = set(re.findall(r"(?<![A-Z_])(?:PRESSRUN_[A-Z_]+|PROMETHEUS_[A-Z_]+)", text)) | set(settings_file.ENVIRONMENT)
    assert len(names) > len(settings_file.ENVIRONMENT)
    assert {name for name in names if not re.search(rf"\b{name}\b", EVERYTHING)} == set()


def test_the_glossary_holds_every_word() -> None:
    """Every word of the design, the states of a delivery and of an event."""
    known = rows(PAGES["docs/glossary.md"])
    assert [word for word in (*WORDS.split(), *STEPS, *NAMES["answer of the status address"]) if not "".join(known.get(word, []))] == []


def test_the_pseudo_shell_names_exactly_the_steps() -> None:
    """The package's docstring is the pipeline: its lines are the steps, in order, and each is a module."""
    assert tuple(re.findall(r"^    (\w+) +< .+? > ", pipeline.__doc__ or "", re.MULTILINE)) == STEPS
    assert [step for step in STEPS if not (ROOT / "pipeline" / f"{step}.py").is_file()] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Every relative link names a file of the checkout, and its anchor a heading there."""
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.exists(), f"{page} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings], f"{page} links to {target}"


def test_the_json_feed_extension_is_explained() -> None:
    """Each member of `_pressrun` has its line."""
    section = PAGES["docs/formats.md"].partition("\n## JSON Feed\n")[2].partition("\n## ")[0]
    assert [member for member in ("id", "updated", "rights", "revision", "signoff") if f"| `{member}` |" not in section] == []


def test_decisions_are_short_and_whole() -> None:
    """Numbered without a gap, at most 40 lines, each with its four parts."""
    decisions = [page for page in PAGES if page.startswith("docs/decisions/")]
    assert [int(Path(page).name[:4]) for page in decisions] == list(range(1, len(decisions) + 1))
    for page in decisions:
        assert len(PAGES[page].splitlines()) <= 40, page
        assert [part for part in ("Context.", "Alternatives.", "Decision.", "Enforced by.") if f"**{part}**" not in PAGES[page]] == [], page


def test_webhook_fields_and_answers_are_those_of_the_schemas() -> None:
    """The page for CMS developers knows every field of an article, every type of event, and every answer."""
    page = PAGES["docs/webhooks.md"]
    article: dict[str, Any] = dict(schema.documents()["article.v1.json"])
    fields = {*article["properties"], *(n for part in ("image", "video") for n in article["$defs"][part]["properties"])}
    event: dict[str, Any] = dict(schema.documents()["event.v1.json"])
    assert {name for name in {*fields, *event["properties"], *event["properties"]["type"]["enum"]} if f"`{name}`" not in page} == set()
    assert {name for name in article["required"] if rows(page)[name][0] != "required"} == set()
    answers = openapi.document()["paths"]["/webhooks/{source}"]["post"]["responses"]
    assert {name for name in rows(page) if name.isdigit()} == set(answers)


@dataclass(frozen=True)
class Option:
    """One line of the example configuration."""

    table: str
    name: str
    default: bool
    value: object
    comment: str


def options() -> Iterator[Option]:
    """Every option of pressrun.example.toml with the kind of table it stands in and the comment above it."""
    table, comment = "", ""
    for line in EXAMPLE.splitlines():
        if header := re.fullmatch(r"\[(.+)\]", line):
            parts = header[1].split(".")
            table, comment = parts[-2].removesuffix("s") if len(parts) > 1 else parts[0], ""
        elif option := re.fullmatch(r"(#?)([a-z_]+) = (.+)", line):
            yield Option(table, option[2], bool(option[1]), tomllib.loads(f"v = {option[3]}")["v"], comment)
            comment = ""
        else:
            comment = f"{comment} {line.removeprefix('# ')}".strip() if line.startswith("# ") else ""


def wanted() -> dict[tuple[str, str], dict[str, Any]]:
    """(kind of table, option) → its schema."""
    document: dict[str, Any] = dict(schema.documents()["config.v1.json"])
    top = document["properties"]
    tables = {"": top, **{n: top[n]["properties"] for n in ("server", "limits", "retries", "hub")}}
    tables |= {name: document["$defs"][name]["properties"] for name in ("source", "site", "feed", "mirror", "network", "indexnow")}
    inner = {"", "sites", "sources", "feeds", "mirrors", "networks", "indexnow", "server", "limits", "retries", "hub"}
    return {
        (table, name): rule for table, found in tables.items() for name, rule in found.items() if name not in inner or table == "retries"
    }


def test_the_example_configuration_has_every_option_with_its_default() -> None:
    """A commented option stands at its default; one that is set says what its default would be; each is explained once."""
    rules, explained = wanted(), set()
    for option in options():
        key = (option.table, option.name)
        assert key in rules, f"{key} is no option"
        assert option.comment or key in explained, f"{key} is not explained"
        explained.add(key)
        if "default" not in rules[key]:
            continue
        said = re.search(r"\(default: (.+?)\)$", option.comment)
        stated = option.value if option.default else json.loads(said[1]) if said else None
        assert stated == rules[key]["default"], f"{key}: the default is {rules[key]['default']}"
    assert set(rules) - explained == set()


@pytest.mark.parametrize("everything", [False, True], ids=["as it is", "every option set"])
def test_the_example_configuration_is_good(tmp_path: Path, *, everything: bool) -> None:
    """`pressrun config check` accepts it once its secrets exist, also with every commented option set."""
    path = tmp_path / "pressrun.toml"
    path.write_text(re.sub(r"^#(?=[a-z_]+ = )", "", EXAMPLE, flags=re.MULTILINE) if everything else EXAMPLE)
    secrets = dict.fromkeys(re.findall(r"\"env:([A-Z_]+)\"", EXAMPLE), SECRET)
    done = CliRunner().invoke(pressrun, ["config", "check", "--config", str(path)], env=secrets, standalone_mode=False)
    assert (done.exception, done.return_value) == (None, 0)
    assert ": good (" in done.output
    assert "no secret" not in done.output + done.stderr


def test_config_example_prints_it() -> None:
    """The verb and the file are one."""
    assert CliRunner().invoke(pressrun, ["config", "example"], standalone_mode=False).output == EXAMPLE


def leaves() -> Iterator[tuple[str, click.Command]]:
    """Every verb that does something, by its full name."""
    context = click.Context(pressrun)
    for name in VERBS:
        command = pressrun.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", command.commands[inner]) for inner in command.commands)
        else:
            yield name, command


@pytest.mark.parametrize(("name", "command"), list(leaves()), ids=lambda value: value if isinstance(value, str) else "")
def test_every_verb_helps_with_an_example(name: str, command: click.Command) -> None:
    """`--help` ends with an example of that verb whose options exist, and says what the verb is for."""
    example = re.fullmatch(rf"Example: pressrun {name}(?P<rest>.*)", command.epilog or "")
    assert example, name
    known = {text for parameter in command.params for text in (*parameter.opts, *parameter.secondary_opts)}
    free = command.context_settings.get("ignore_unknown_options", False)
    assert free or set(re.findall(r"(?<=\s)--?[a-z-]+", example["rest"])) <= known
    assert command.help


def test_contributing_has_the_chores() -> None:
    """The headings are the chores people do, and every `./run …` in it is one that `./run` lists."""
    page = PAGES["CONTRIBUTING.md"]
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == ["Set up", "Demo", "Test", "Lint", "Bench", "Faults", "Docs"]
    listed = subprocess.run([ROOT / "run"], capture_output=True, text=True, check=True).stdout
    chores = {line.split()[0] for line in listed.splitlines()}
    assert set(re.findall(r"\./run ([a-z]+)", page)) == chores


def dependencies() -> list[str]:
    """Every distribution pyproject.toml asks for."""
    project, groups = PYPROJECT["project"], PYPROJECT["dependency-groups"]
    asked = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    asked += [*PYPROJECT["build-system"]["requires"], *(d for group in groups.values() for d in group if isinstance(d, str))]
    return sorted({re.split(r"[^A-Za-z0-9._-]", requirement)[0] for requirement in asked})


def licences(text: str) -> set[str]:
    """The families of licences a text names."""
    return set(re.findall(r"\bMIT\b|BSD|Apache|LGPL|MPL|CNRI|\bGPL", text))


@pytest.mark.parametrize("name", dependencies())
def test_every_dependency_has_its_line(name: str) -> None:
    """A reason, the licence that its own metadata states, and a note on its wheel and age."""
    cells = rows(PAGES["docs/dependencies.md"]).get(name)
    assert cells, f"{name} has no line"
    assert all(cells), f"{name} has an empty cell"
    try:
        found = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return
    classified = [c for c in found.get_all("Classifier", []) if c.startswith("License")]
    stated = " ".join([*found.get_all("License-Expression", []), *classified])
    assert licences(stated) <= licences(cells[-2]), f"{name} is {stated}"


def test_no_dependency_is_explained_that_is_not_there() -> None:
    """The page shrinks with the list."""
    assert set(rows(PAGES["docs/dependencies.md"])) - {"package", "---"} - set(dependencies()) == set()


def test_the_readme_has_the_two_commands() -> None:
    """The demo and the tests, as a newcomer and the continuous integration paste them."""
    lines = [line for block in blocks("README.md", "sh") for line in block.splitlines()]
    assert {"python3 -m pipeline demo", "python3 -m pipeline test"} <= set(lines)


STARTS = {"python3 -m pipeline demo\n", "python3 -m pipeline test\n", "python3 -m pipeline up\n"}
RUNNING = ("README.md", "docs/webhooks.md", "docs/subscribing.md", "docs/operating.md")


@dataclass(frozen=True)
class Instance:
    """A running `pressrun up` in a folder of its own, and the environment of the terminal beside it."""

    folder: Path
    environment: dict[str, str]

    def run(self, *command: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in the second terminal."""
        where = folder or self.folder
        return subprocess.run(command, cwd=where, env=self.environment, capture_output=True, text=True, timeout=100, check=False)

    def here(self, text: str) -> str:
        """A text of the docs with this instance's port in it."""
        return text.replace("127.0.0.1:8400", f"127.0.0.1:{self.environment['PRESSRUN_PORT']}")

    def status(self, *article: str) -> tuple[int, dict[str, Any]]:
        """Exit code and answer of `pressrun status --json`."""
        done = self.run("pressrun", "status", "--json", *article)
        return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """Started as the README says: `python3 -m pipeline up` in a folder with nothing but the samples."""
    folder = tmp_path_factory.mktemp("newsroom")
    (folder / "schemas").symlink_to(ROOT / "schemas")
    commands = folder / "bin"
    commands.mkdir()
    for name, what in (("python3", ""), ("pressrun", " -m pipeline")):
        (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{what} "$@"\n')
        (commands / name).chmod(0o755)
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port = str(trial.getsockname()[1])
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PRESSRUN_", "PROMETHEUS_"))}
    environment = {**kept, "PATH": f"{commands}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "PRESSRUN_PORT": port}
    said = folder / "up.txt"
    with said.open("w") as out:
        up = subprocess.Popen(
            ["python3", "-m", "pipeline", "up"], cwd=folder, env=environment, stdout=out, stderr=out, start_new_session=True
        )
    try:
        ends = time.monotonic() + 80
        while "Stop: Ctrl-C" not in said.read_text():
            assert up.poll() is None, said.read_text()
            assert time.monotonic() < ends, said.read_text()
            time.sleep(0.1)
        token = re.search(r"^API token.*: (\S+)$", said.read_text(), re.MULTILINE)
        yield Instance(folder, {**environment, "TOKEN": token[1] if token else ""})
    finally:
        up.send_signal(signal.SIGINT)
        assert up.wait(30) == 0, said.read_text()


def settled(instance: Instance) -> None:
    """Wait until what another page sent is out, as a reader of one page at a time would."""
    ends = time.monotonic() + 60
    while instance.status()[0] != 0:
        assert time.monotonic() < ends
        time.sleep(0.2)


@pytest.mark.parametrize("page", RUNNING)
def test_commands_run_as_written(instance: Instance, page: str, tmp_path: Path) -> None:
    """Every `sh` and `python` block of the page, pasted beside a running instance, does its work and exits with 0."""
    settled(instance)
    lacking, said = set(), []
    for language, text in re.findall(r"^```(sh|python)\n(.*?)^```$", PAGES[page], re.MULTILINE | re.DOTALL):
        lacking |= (missing := {tool for tool in ("curl", "openssl") if tool in text and not shutil.which(tool)})
        if missing or text in STARTS:
            continue
        command = ("sh", "-eu", "-c") if language == "sh" else ("python3", "-c")
        done = instance.run(*command, instance.here(text), folder=tmp_path if "> pressrun.toml" in text else None)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        said.append(done.stdout)
    outcome(instance, page, said, tmp_path)
    if lacking:
        pytest.skip(f"the rest of the page ran; {', '.join(sorted(lacking))} is not installed")


def outcome(instance: Instance, page: str, said: list[str], folder: Path) -> None:
    """What the page promises its commands lead to."""
    if page == "README.md":
        assert instance.status("48101")[1]["articles"][0]["state"] == "withdrawn"
        assert (folder / "pressrun.toml").read_text() == EXAMPLE
    elif page == "docs/webhooks.md":
        assert any(
            text.splitlines()[0].startswith("202 ") and text.splitlines()[1] == "applied []" for text in said if text.startswith("202")
        )
        settled(instance)
        assert "schemas/examples/01-anatomy.json: good" in "".join(said)
        assert (instance.folder / "preview" / "feeds" / "all.rss").is_file()
    elif page == "docs/subscribing.md" and said:
        assert said[-1] == "304\n"
        assert 'rel="self"' in said[0]
    elif page == "docs/operating.md":
        assert instance.status("48102")[1]["articles"][0]["state"] == "withdrawn"
        assert "good  workers" in "".join(said)
