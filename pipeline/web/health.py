"""Is this process alive, is the whole ready, and what do the counters say."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from pipeline.kit import metrics
from pipeline.kit.clock import rfc3339
from pipeline.ledger import duties
from pipeline.web.problems import problem

if TYPE_CHECKING:
    from starlette.requests import Request

    from pipeline.context import Context

NO_WORKER = timedelta(seconds=15)


async def alive(_request: Request) -> Response:
    """The process answers."""
    return JSONResponse({"status": "alive"}, headers={"Cache-Control": "no-store"})


def ready(request: Request) -> Response:
    """The ledger answers, the origin was checked, and a worker was seen within 15 s. Webhooks are accepted in any case."""
    context: Context = request.app.state.context
    if not request.app.state.checked.is_set():
        return problem(503, "The feeds at the origin are still being compared with the ledger.", headers={"Retry-After": "1"})
    with context.ledger.read() as tx:
        seen, now = duties.seen_at(tx, duties.UPKEEP), tx.now
    if seen is None or now - seen > NO_WORKER:
        since = rfc3339(seen) if seen else "the start"
        return problem(
            503, f"no worker since {since}: webhooks are accepted and will be processed when one runs.", headers={"Retry-After": "5"}
        )
    return JSONResponse({"status": "ready", "worker_seen_at": rfc3339(seen)}, headers={"Cache-Control": "no-store"})


def counters(_request: Request) -> Response:
    """Prometheus exposition, over all processes of this data folder."""
    body, media_type = metrics.page()
    return Response(body, headers={"Content-Type": media_type, "Cache-Control": "no-store"})
