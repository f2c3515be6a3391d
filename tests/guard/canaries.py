"""Secrets that can be recognised anywhere, and the search for them in whatever was written or answered.

Each has a core of letters and digits that no encoding for URLs, JSON or HTML changes, between characters that they do.
The core is looked for as it is, in hexadecimal, and in base64 at each of the three places it may have in a group.
"""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from typing import TYPE_CHECKING, Any

import brotli

from pipeline.kit import signatures
from pipeline.rules import schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path


def core(name: str) -> str:
    """Twenty-four letters and digits that stand for one secret."""
    return f"Cnry{name.capitalize():x<18}"[:20] + "7Q9z"


CORES = {
    "/database": core("database"),
    "/broker": core("broker"),
    "/api_token": core("console"),
    "/sites/*/mirrors/*/token": core("mirror"),
    "/sources/*/secrets/*": core("webhook"),
    "/hub/keys/*": core("hub"),
}
"""Pointer in the schema of the configuration → what is to be found nowhere."""

SENT = {
    "a wrong token": core("wrongtoken"),
    "a token in a query": core("querytoken"),
    "a cookie": core("cookie"),
    "a signature": core("signature"),
    "another sender's secret": core("forger"),
    "a password": core("basicuser"),
    "a subscriber's secret": core("subscriber"),
}
"""What clients send us that is none of our business to keep; the last is kept, sealed."""

ALL = {**CORES, **SENT}

PUBLIC = {
    "/data", "/origin", "/server/host", "/server/public_url", "/server/allow_hosts/*", "/server/trusted_proxies/*",
    "/hub/policy", "/hub/topic_hosts/*", "/sites/*/hubs/*",
    "/sites/*/title", "/sites/*/home_url", "/sites/*/language", "/sites/*/publisher", "/sites/*/tag_host", "/sites/*/tag_date",
    "/sites/*/description", "/sites/*/logo_url", "/sites/*/rights", "/sites/*/timezone", "/sites/*/feeds_url", "/sites/*/alternates/*",
    "/sites/*/roku_channel_url", "/sites/*/sitemaps_url", "/sites/*/publication",
    "/sites/*/feeds/*/title", "/sites/*/feeds/*/description", "/sites/*/feeds/*/formats/*", "/sites/*/feeds/*/former/*",
    *(f"/sites/*/{kind}/*/{rule}/*" for kind in ("feeds", "mirrors", "networks") for rule in ("sections", "tags", "languages", "authors")),
    "/sites/*/mirrors/*/title", "/sites/*/mirrors/*/backend", "/sites/*/mirrors/*/base_url", "/sites/*/mirrors/*/target",
    "/sites/*/mirrors/*/token_header",
    "/sites/*/indexnow/*/endpoint", "/sites/*/indexnow/*/key", "/sites/*/indexnow/*/key_location",  # the key stands at its address for all
    "/sites/*/networks/*/link_to", "/sites/*/networks/*/account", "/sites/*/networks/*/options/*",
    "/sources/*/site", "/sources/*/dialect", "/sources/*/id_space", "/sources/*/url_hosts/*",
}  # fmt: skip
"""Every other text the configuration may hold, by a person's decision: what is neither here nor a canary fails a test."""


def texts(value: Any = None, at: str = "") -> Iterator[tuple[str, bool]]:
    """(pointer with * for names and numbers, whether the schema calls it a secret) of every text the configuration may hold."""
    root: Any = schema.documents()["config.v1.json"]
    where = root if value is None else value
    reference = where.get("$ref", "")
    where = root["$defs"][reference.removeprefix("#/$defs/")] if reference.startswith("#/$defs/") else where
    for name, inner in where.get("properties", {}).items():
        yield from texts(inner, f"{at}/{name}")
    for inner in (where.get("additionalProperties"), where.get("items")):
        if isinstance(inner, dict):
            yield from texts(inner, f"{at}/*")
    if where.get("type") == "string" or (reference and where is value):
        yield at, bool(where.get("writeOnly"))


# What the configuration is given: each has characters that URLs, JSON, HTML and shells write otherwise.
DATABASE_PASSWORD = f"{CORES['/database']}%2F%40%22s"
BROKER_PASSWORD = f"{CORES['/broker']}%2F%40%22s"
API_TOKEN = f'redis@{CORES["/api_token"]}/+"&'
BEARER = f"Bearer {CORES['/sites/*/mirrors/*/token']}/+@=="
BASIC = "Basic " + base64.b64encode(f'desk:{CORES["/sites/*/mirrors/*/token"]}:@/"&<'.encode()).decode()
KEY = (CORES["/sources/*/secrets/*"] + "/+ key").encode()
HUB_KEY = base64.b64encode((CORES["/hub/keys/*"] + "/+ key!!").encode()).decode()
WEBHOOK_SECRET = signatures.new_secret(KEY)
SECOND_SECRET = signatures.new_secret(KEY + b" 2")


def spellings(text: str) -> frozenset[bytes]:
    """Every run of bytes that gives the text away; those of base64 are cut where neighbours would change them."""
    plain = text.encode()
    found = {plain, plain.hex().encode(), plain.hex().upper().encode(), plain[::-1]}
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + plain)
        first, last = (0, 2, 3)[before], (len(plain) + before) * 8 // 6
        found.add(coded[first:last])
    return frozenset(found)


SPELLED = {name: spellings(text) for name, text in ALL.items()}


def given_away(body: bytes) -> set[str]:
    """The names of the canaries that stand in these bytes, in any spelling."""
    return {name for name, spelled in SPELLED.items() if any(text in body for text in spelled)}


def found_in(places: Mapping[str, bytes]) -> dict[str, set[str]]:
    """Place → canaries found there; empty when all is well."""
    return {place: names for place, body in places.items() if (names := given_away(body))}


def files_below(folder: Path, without: Iterable[Path] = ()) -> dict[str, bytes]:
    """Every file's name and bytes, those packed by gzip and brotli also as unpacked."""
    left_out = {path.resolve() for path in without}
    made: dict[str, bytes] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.resolve() not in left_out):
        body = path.read_bytes()
        made[str(path)] = str(path).encode() + b"\n" + body + _unpacked(path.suffix, body)
    return made


def _unpacked(suffix: str, body: bytes) -> bytes:
    unpack = {".gz": gzip.decompress, ".br": brotli.decompress}.get(suffix)
    if unpack is None:
        return b""
    try:
        return b"\n" + bytes(unpack(body))
    except (OSError, EOFError, zlib.error, brotli.error):
        return b""


def as_bytes(value: object) -> bytes:
    """Rows, answers, whatever: as text that keeps every character, and the bytes in it as they are."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, dict):
        return b"\n".join(as_bytes(k) + b"=" + as_bytes(v) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return b"\n".join(as_bytes(one) for one in value)
    return json.dumps(value, ensure_ascii=False, default=str).encode()
