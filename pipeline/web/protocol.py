"""What is no HTTP at all is refused as everything else is: by a problem document.

uvicorn answers it before the app is asked, in plain text; programs that were promised JSON then fail at the refusal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from pipeline.web.problems import in_bytes

if TYPE_CHECKING:
    import asyncio


def speaking_problems(base: type[asyncio.Protocol] = AutoHTTPProtocol) -> type[asyncio.Protocol]:
    """The protocol of uvicorn (httptools or h11), whose 400 is now a problem document."""
    return type("SpeakingProblems", (base,), {"send_400_response": _refuse})


def _refuse(protocol: Any, _message: str) -> None:
    """Say it and hang up; where an answer is already under way, more bytes would only spoil it."""
    if protocol.cycle is None or protocol.cycle.response_complete or not protocol.cycle.response_started:
        protocol.transport.write(_NO_HTTP)
    protocol.transport.close()


_NO_HTTP = in_bytes(400, "This is not HTTP as RFC 9112 has it.")
