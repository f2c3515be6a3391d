"""`python -m pipeline.web`: one web process, configured by `pressrun.toml`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import uvicorn

from pipeline.context import open_context
from pipeline.kit import log
from pipeline.model.errors import ConfigError
from pipeline.web import deadlines
from pipeline.web.protocol import speaking_problems

if TYPE_CHECKING:
    from pipeline.model.settings import Server


def behind(server: Server) -> dict[str, Any]:
    """What uvicorn is told of the servers in front: only of them it believes who asked, which the hub counts by."""
    return {"proxy_headers": bool(server.trusted_proxies), "forwarded_allow_ips": list(server.trusted_proxies)}


def main() -> int:
    """Serve until told to stop; clients that stream are given 2 s."""
    log.configure()
    try:
        server = open_context().settings.server
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    uvicorn.run(
        "pipeline.web.app:create",
        factory=True,
        http=deadlines.bounded(speaking_problems()),
        host=server.host,
        port=server.port,
        log_config=None,
        access_log=False,
        server_header=False,
        **behind(server),
        timeout_graceful_shutdown=2,
        timeout_keep_alive=15,
        backlog=2048,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
