"""`pressrun lint` as an operator runs it: a file, an address of a running server, and every way it may not work."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.terminal import pressrun

if TYPE_CHECKING:
    from collections.abc import Iterator

FEED = Path(__file__).parents[1] / "golden" / "anatomy.rss"


class _Peer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """The feed, a redirect to it, or 404."""
        status = {"/feed.rss": 200, "/moved.rss": 301}.get(self.path, 404)
        body = FEED.read_bytes() if status == 200 else b""
        self.send_response(status)
        if status == 301:
            self.send_header("Location", "/feed.rss")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's own name
        """Keep the test's output to itself."""


@pytest.fixture(scope="module")
def peer() -> Iterator[str]:
    """The address of a server on a port of its own, with a trailing slash."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Peer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_good_file_is_good(tmp_path: Path) -> None:
    """One line, and 0."""
    done = pressrun(tmp_path, "lint", str(FEED), "--partner", "msn")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{FEED}: good for MSN (")


def test_a_finding_says_what_where_which_rule_and_how_to_mend(tmp_path: Path) -> None:
    """And 1."""
    done = pressrun(tmp_path, "lint", str(FEED), "--partner", "flipboard")
    assert (done.returncode, done.stderr) == (1, "")
    first, *lines = done.stdout.splitlines()
    assert first.startswith(f"{FEED}: 2 findings for Flipboard (")
    assert lines[:2] == [
        "recommended  items  channel",
        "    There are 1, fewer than 20. A feed has the 20 newest articles or more.",
    ]
    assert lines[2].startswith("    Raise the feed's window, or wait until there are as many. [https://flipboard.")


def test_programs_read_the_same(tmp_path: Path, peer: str) -> None:
    """Of an address this time."""
    done = pressrun(tmp_path, "lint", f"{peer}feed.rss", "--partner", "flipboard", "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert (told["partner"], told["document"]) == ("flipboard", f"{peer}feed.rss")
    assert [one["rule"] for one in told["findings"]] == ["items", "description-length"]
    assert set(told["findings"][0]) == {"rule", "level", "where", "what", "says", "mend", "source"}


@pytest.mark.parametrize(
    ("document", "partner", "code", "said"),
    [
        ("nowhere.rss", "msn", 2, "nowhere.rss: No such file or directory"),
        ("feed.rss", "nobody", 2, "'nobody' is not one of"),
        ("http://127.0.0.1:1/feed.rss", "msn", 3, "does not answer"),
        ("http://:1/", "msn", 2, ""),
        ("{peer}other.rss", "msn", 3, "other.rss answers 404"),
        ("{peer}moved.rss", "msn", 1, "moved.rss leads to /feed.rss: lint that"),
    ],
)
def test_what_cannot_be_read_is_said_plainly(tmp_path: Path, peer: str, document: str, partner: str, code: int, said: str) -> None:
    """No traceback: a sentence and the exit code of its kind."""
    done = pressrun(tmp_path, "lint", document.replace("{peer}", peer), "--partner", partner)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
