"""The floor of `accept`: the least a web endpoint can do that answers a signed webhook only once it is on the disk.

`python -m benchmarks.bare_web PORT FOLDER`: a bare Starlette application under the same server, with the same settings, as
ours. It reads the body, checks the signature, and commits one row to SQLite with synchronous=FULL; no limits, no strict
reading of JSON, no doubles, no nudge, no metrics.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from benchmarks.stack import SECRET
from pipeline.kit import signatures

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

TOLERANCE = 300


def application(folder: Path) -> Starlette:
    """The endpoint over a database of its own."""
    database = sqlite3.connect(folder / "bare.sqlite", isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, webhook_id TEXT NOT NULL UNIQUE, body BLOB NOT NULL)")

    async def receive(request: Request) -> Response:
        body = await request.body()
        webhook_id = signatures.verify(dict(request.headers), body, (SECRET,), time.time(), TOLERANCE)
        database.execute("INSERT INTO events (webhook_id, body) VALUES (?, ?)", (webhook_id, body))
        return JSONResponse({"event_id": webhook_id, "status": "accepted"}, 202)

    return Starlette(routes=[Route("/webhooks/{source}", receive, methods=["POST"])])


def main(arguments: list[str]) -> None:
    """Serve until told to stop."""
    port, folder = int(arguments[0]), Path(arguments[1])
    uvicorn.run(application(folder), host="127.0.0.1", port=port, log_config=None, access_log=False, server_header=False, backlog=2048)


if __name__ == "__main__":
    main(sys.argv[1:])
