"""`pressrun.toml` → Settings: checked by `schemas/config.v1.json`, defaults filled in from it, secrets resolved."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import re
from collections import Counter
from dataclasses import asdict, fields, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipeline import networks
from pipeline.dialects import dialects
from pipeline.formats import FORMATS
from pipeline.kit import config, sealing, secrecy, signatures
from pipeline.model.errors import ConfigError
from pipeline.model.settings import (
    Feed,
    Hub,
    IndexNow,
    Kind,
    Limits,
    Mirror,
    Network,
    Retries,
    Rules,
    Server,
    Settings,
    Site,
    Source,
    outlet_key,
)
from pipeline.rules import schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.model.event import Problem

RESERVED = frozenset(
    ["webhooks", "events", "hub", "api", "ops", "mirrors", "shares", "healthz", "readyz", "metrics", "docs", "static", "openapi-json"],
)
WHERE = ("pressrun.toml", ".pressrun/pressrun.toml")
ENVIRONMENT = {
    "PRESSRUN_DATA": ("data",),
    "PRESSRUN_DATABASE": ("database",),
    "PRESSRUN_BROKER": ("broker",),
    "PRESSRUN_ORIGIN": ("origin",),
    "PRESSRUN_HOST": ("server", "host"),
    "PRESSRUN_PORT": ("server", "port"),
    "PRESSRUN_PUBLIC_URL": ("server", "public_url"),
}
SITEMAPS = (
    Feed("sitemap", "sitemap", "", formats=("sitemap",), window_hours=0, window_max=1000, page_size=500, folder="sitemaps"),
    # What was published in the last two days and no more: the page named in pipeline.formats.news.
    Feed("news-sitemap", "news sitemap", "", formats=("news",), window=0, window_hours=48, window_max=1000, page_size=0, folder="sitemaps"),
)
_FEED = Feed("", "", "")
_LIKE_A_PAGE = re.compile(r"-[0-9]{4}-[0-9]{2}-[0-9]+$")
_HTTP_TARGET = re.compile(r"https?://[^/?#@\s]+/([^?#\s]*/)?")


def find(start: Path | None = None) -> Path | None:
    """The configuration file: $PRESSRUN_CONFIG, ./pressrun.toml, ./.pressrun/pressrun.toml; None where there is none."""
    if named := os.environ.get("PRESSRUN_CONFIG"):
        return Path(named)
    return next((path for name in WHERE if (path := (start or Path.cwd()) / name).is_file()), None)


def load(path: Path) -> Settings:
    """The settings of a file. Raises ConfigError naming file, line and what was expected."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror}). `pressrun config example` prints one to start from."
        raise ConfigError(message) from error
    except UnicodeDecodeError as error:
        message = f"{path}:{error.object[: error.start].count(bytes([10])) + 1}: this is not UTF-8"
        raise ConfigError(message) from error
    try:
        raw = config.parse(text)
    except ValueError as error:
        message = f"{path}:{config.line_of_fault(text, error)}: {error}"
        raise ConfigError(message) from error
    for name, where in ENVIRONMENT.items():
        if name in os.environ:
            _override(raw, where, os.environ[name])
    found = [*schema.problems("config.v1.json", raw), *(() if schema.problems("config.v1.json", raw) else _cross_checks(raw))]
    if found:
        raise ConfigError("\n".join(_told(path, text, problem) for problem in found))
    base = path.resolve().parent
    if found := list(_secret_faults(raw, base)):
        raise ConfigError("\n".join(_told(path, text, problem) for problem in found))
    try:
        return _settings(_filled(raw, "config.v1.json"), base)
    except ValueError as error:
        message = f"{path}: {error}"
        raise ConfigError(message) from error


def _override(raw: dict[str, Any], where: tuple[str, ...], value: str) -> None:
    for part in where[:-1]:
        raw = raw.setdefault(part, {})
    raw[where[-1]] = int(value) if where[-1] == "port" and value.isdigit() else value


def _told(path: Path, text: str, problem: Problem) -> str:
    parts = [part.replace("~1", "/").replace("~0", "~") for part in problem.pointer.split("/")[1:]]
    variable = next((name for name, where in ENVIRONMENT.items() if where == tuple(parts) and name in os.environ), None)
    if variable is not None:
        return _printable(f"{variable}: {'.'.join(parts)}: {problem.detail}")
    return _printable(f"{path}:{config.line_of(text, parts)}: {'.'.join(parts) or 'file'}: {problem.detail}")


def _printable(line: str) -> str:
    """One line: a name or value of the file may hold line ends, and sequences that a terminal obeys."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)


def _cross_checks(raw: Mapping[str, Any]) -> Iterator[Problem]:
    from pipeline.model.event import Problem  # noqa: PLC0415 - only here is one made

    for name, site in raw["sites"].items():
        if name in RESERVED:
            yield Problem(f"/sites/{name}", f"A site may not be called “{name}”: the address is taken.")
        yield from (Problem(f"/sites/{name}/{where}", what) for where, what in _site_faults(site))
    yield from _proxy_faults(raw.get("server", {}).get("trusted_proxies", []))
    yield from _hub_faults(_filled(raw.get("hub", {}), "config.v1.json", "hub"))
    for name, source in raw["sources"].items():
        if source["site"] not in raw["sites"]:
            yield Problem(f"/sources/{name}/site", f"There is no site “{source['site']}”; there is {', '.join(raw['sites'])}.")
        if source.get("dialect", "native") not in dialects():
            yield Problem(f"/sources/{name}/dialect", f"Expected one of {', '.join(dialects())}.")


def _proxy_faults(proxies: Sequence[str]) -> Iterator[Problem]:
    from pipeline.model.event import Problem  # noqa: PLC0415 - as in _cross_checks

    for place, proxy in enumerate(proxies):
        try:
            ipaddress.ip_network(proxy)
        except ValueError:
            yield Problem(f"/server/trusted_proxies/{place}", f"Expected an address, or a network such as 10.0.0.0/8; there is “{proxy}”.")


def _hub_faults(hub: Mapping[str, Any]) -> Iterator[Problem]:
    from pipeline.model.event import Problem  # noqa: PLC0415 - as in _cross_checks

    if not hub["lease_min"] <= hub["lease_default"] <= hub["lease_max"]:
        leases = ", ".join(f"{name} = {hub[name]}" for name in ("lease_min", "lease_default", "lease_max"))
        yield Problem("/hub", f"Expected lease_min, lease_default and lease_max in that order of length; there is {leases}.")


def _site_faults(site: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    mirrors = site.get("mirrors", {})
    if not _is_date(site["tag_date"]):
        yield "tag_date", "Expected a date of the calendar such as 2026-11-23: every guid is made from it, for ever (RFC 4151)."
    try:
        ZoneInfo(site.get("timezone", "UTC"))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield "timezone", "Expected an IANA time zone such as Europe/Berlin."
    yield from _feed_faults(site.get("feeds", {}))
    yield from _indexnow_faults(site.get("indexnow", {}))
    for name, network in site.get("networks", {}).items():
        if name not in networks.names():
            yield f"networks/{name}", f"Expected one of {', '.join(networks.names())}."
        if network.get("link_to", "canonical") not in {"canonical", *mirrors}:
            yield f"networks/{name}/link_to", f"Expected canonical or a mirror of the site: {', '.join(mirrors) or 'there is none'}."
    for name, mirror in mirrors.items():
        if mirror.get("backend", "local") not in {"local", "http", "memory"}:
            yield f"mirrors/{name}/backend", "Expected local or http."
        if mirror.get("backend") == "http" and not (mirror.get("target") and mirror.get("base_url")):
            yield f"mirrors/{name}", "A mirror over http needs target (where documents are PUT) and base_url (where readers find them)."
        elif mirror.get("backend") == "http" and not _HTTP_TARGET.fullmatch(mirror["target"]):
            yield f"mirrors/{name}/target", "Expected an http or https URL with a slash at its end; its credentials are the token's."


def _indexnow_faults(indexnow: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Addresses that nothing can be sent to, or that nobody can be told of."""
    for name, told in indexnow.items():
        for option in ("endpoint", "key_location"):
            if not _is_plain(told.get(option) or "https://plain/"):
                yield f"indexnow/{name}/{option}", "Expected a URL in ASCII with a host, and a port only where it is a number up to 65535."


def _is_plain(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return url.isascii() and url.isprintable() and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _feed_faults(feeds: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Formats nobody knows, and names that would be two feeds'."""
    written = [name for name, fmt in FORMATS.items() if fmt.folder == "feeds"]
    taken = Counter([*feeds, *(sitemap.name for sitemap in SITEMAPS), *(old for feed in feeds.values() for old in feed.get("former", []))])
    for name, feed in feeds.items():
        if unknown := [fmt for fmt in feed.get("formats", []) if fmt not in written]:
            yield f"feeds/{name}/formats", f"There is no format {', '.join(unknown)}; expected some of {', '.join(written)}."
        if _LIKE_A_PAGE.search(name):
            yield f"feeds/{name}", "A feed may not be called like an archive page of another."
        if feed.get("window", _FEED.window) > feed.get("window_max", _FEED.window_max):
            yield f"feeds/{name}/window", f"Expected at most window_max, which is {feed.get('window_max', _FEED.window_max)}."
        if taken[name] > 1:
            yield f"feeds/{name}", "This name is taken: by the sitemaps, or as the former name of a feed."
        if doubled := [old for old in feed.get("former", []) if taken[old] > 1]:
            yield f"feeds/{name}/former", f"{', '.join(doubled)} is the name of another feed, or was."


def _secret_faults(raw: Mapping[str, Any], base: Path) -> Iterator[Problem]:
    """Every secret that is not where the configuration says, or is no secret."""
    from pipeline.model.event import Problem  # noqa: PLC0415 - as in _cross_checks

    for pointer, value in secrets(raw):
        try:
            found = _said(value, base) if pointer in _URLS else config.secret(value, base)
            if pointer.startswith("/sources/"):
                signatures.parse_secret(found)
            elif pointer.startswith("/hub/keys/"):
                sealing.check_key(found)
            elif pointer in _URLS:
                _check_url(pointer[1:], found)
        except ValueError as error:
            yield Problem(pointer, str(error))
        except OSError as error:
            yield Problem(pointer, f"file {error.filename} cannot be read: {error.strerror}")


_URLS = frozenset({"/database", "/broker"})


def secrets(raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(JSON Pointer, text) of everything that the schema calls a secret (`writeOnly`) and that is given."""
    root = schema.documents()["config.v1.json"]
    yield from _secrets(raw, root, root, "")


@cache
def secret_names() -> frozenset[str]:
    """The keys, wherever they stand, whose values the schema calls secrets."""
    return frozenset(_names_of_secrets(schema.documents()["config.v1.json"]))


def _names_of_secrets(where: Any) -> Iterator[str]:
    if not isinstance(where, dict):
        return
    for key, inner in where.get("properties", {}).items():
        if inner.get("writeOnly") or inner.get("items", {}).get("writeOnly"):
            yield key
    for inner in where.values():
        yield from _names_of_secrets(inner)


def _secrets(value: Any, where: Mapping[str, Any], root: Mapping[str, Any], pointer: str) -> Iterator[tuple[str, str]]:
    if (reference := str(where.get("$ref", ""))).startswith("#/$defs/"):
        where = root["$defs"][reference.removeprefix("#/$defs/")]
    if isinstance(value, dict):
        for key, inner in value.items():
            below = where.get("properties", {}).get(key, where.get("additionalProperties") or {})
            yield from _secrets(inner, below, root, f"{pointer}/{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _secrets(inner, where.get("items", {}), root, f"{pointer}/{number}")
    elif where.get("writeOnly"):
        yield pointer, value


def _check_url(name: str, url: str) -> None:
    """Whether it is of a kind we know, and everybody reads the same host out of it. Raises ValueError, which does not repeat it.

    What is read in two ways, a library tells: the rest of a password as a host that it cannot find, or as a port.
    """
    expected: Any = schema.documents()["config.v1.json"]["properties"]
    if not re.fullmatch(expected[name]["pattern"], url) or url.startswith(("env:", "file:")):
        message = f"what stands there is not {expected[name]['description']}"
        raise ValueError(message)
    rest = url.partition("://")[2]
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    path = rest[len(authority) :].partition("?")[0]
    host = re.fullmatch(r"(\[[^\]@]*\]|[^:\[\]@]*)(:[0-9]{0,5})?", authority.rpartition("@")[2])
    if host is None or authority.count("@") > 1 or "#" in rest or ("@" in path and authority):
        message = "this URL can be read in two ways: in a user name or password write @ as %40, / as %2F, # as %23, ? as %3F, : as %3A"
        raise ValueError(message)


def _is_date(text: str) -> bool:
    """`YYYY`, `YYYY-MM` or `YYYY-MM-DD`, as RFC 4151 2.1 has it."""
    try:
        date.fromisoformat(text + "-01-01"[(len(text) - 4) :])
    except ValueError:
        return False
    return True


def _filled(value: Any, name: str, part: str = "") -> Any:
    """The value with every default of the schema, or of one of its properties, put where nothing stands."""
    root: Mapping[str, Any] = schema.documents()[name]
    return _fill(value, root["properties"][part] if part else root, root)


def _fill(value: Any, where: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    if (reference := str(where.get("$ref", ""))).startswith("#/$defs/"):
        return _fill(value, root["$defs"][reference.removeprefix("#/$defs/")], root)
    if where.get("type") != "object" or not isinstance(value, dict):
        return value
    properties = where.get("properties", {})
    made = {k: _fill(v, properties.get(k, where.get("additionalProperties") or {}), root) for k, v in value.items()}
    for key, inner in properties.items():
        if key not in made and ("default" in inner or inner.get("type") == "object"):
            made[key] = _fill(inner.get("default", {}), inner, root)
    return made


def _settings(raw: Mapping[str, Any], base: Path) -> Settings:
    data = (base / raw["data"]).resolve()
    several = {name: tuple(raw["server"][name]) for name in ("allow_hosts", "trusted_proxies")}
    server = Server(**{**raw["server"], **several})
    public = server.public_url or f"http://{server.host}:{server.port}/"
    return Settings(
        data=data,
        database=_database(_said(raw["database"], base), data),
        broker=_said(raw["broker"], base),
        server=replace(server, public_url=public),
        limits=Limits(**raw["limits"]),
        retries=Retries(**{kind: tuple(seconds) for kind, seconds in raw["retries"].items()}),
        sites=tuple(_site(name, site, public, base, data) for name, site in raw["sites"].items()),
        sources=tuple(_source(name, source, base) for name, source in raw["sources"].items()),
        api_token=config.secret(raw["api_token"], base) if "api_token" in raw else "",
        origin=(data / raw["origin"]).resolve(),
        hub=_hub(raw["hub"], base),
    )


def _hub(raw: Mapping[str, Any], base: Path) -> Hub:
    keys = tuple(config.secret(key, base) for key in raw["keys"])
    return Hub(**{**raw, "topic_hosts": tuple(raw["topic_hosts"]), "keys": keys})


def _said(value: str, base: Path) -> str:
    found = config.secret(value, base) if value.startswith(("env:", "file:")) else value
    secrecy.remember(secrecy.passwords(found))
    return found


def _database(value: str, data: Path) -> str:
    return f"sqlite:///{data / 'ledger.sqlite'}" if value == "sqlite" else value


def _source(name: str, raw: Mapping[str, Any], base: Path) -> Source:
    secrets = tuple(signatures.parse_secret(config.secret(s, base)) for s in raw["secrets"])
    plain = {**raw, "secrets": secrets, "url_hosts": tuple(raw["url_hosts"]), "id_space": raw["id_space"] or name}
    return Source(name=name, **plain)


def _site(name: str, raw: Mapping[str, Any], public: str, base: Path, data: Path) -> Site:
    plain = {f.name: raw[f.name] for f in fields(Site) if f.name in raw}
    return Site(
        **{
            **plain,
            "name": name,
            "feeds_url": raw["feeds_url"] or f"{public}{name}/feeds/",
            "alternates": tuple(raw["alternates"]),
            "hub_url": f"{public}hub",
            "hubs": tuple(raw["hubs"]),
            "sitemaps_url": raw["sitemaps_url"] or f"{public}{name}/sitemaps/",
            "feeds": tuple(_feeds(raw)),
            "mirrors": tuple(_mirror(name, n, m, public, base, data) for n, m in raw["mirrors"].items()),
            "networks": tuple(_network(n, m) for n, m in raw["networks"].items()),
            "indexnow": tuple(IndexNow(name=n, **m) for n, m in raw["indexnow"].items()),
        },
    )


_RULES = ("sections", "tags", "languages", "authors")


def _rules(raw: Mapping[str, Any]) -> tuple[Rules, dict[str, Any]]:
    sections, tags, languages, authors = (tuple(raw[key]) for key in _RULES)
    rules = Rules(sections, tags, languages, authors, subsections=raw["subsections"])
    return rules, {k: v for k, v in raw.items() if k not in {*_RULES, "subsections"}}


def _feeds(raw: Mapping[str, Any]) -> Iterator[Feed]:
    """The feeds of a site, the names they had before, and its sitemaps: feeds for search engines."""
    for name, given in raw["feeds"].items():
        feed = _feed(name, given)
        yield feed
        yield from (replace(feed, name=former, moved_to=name, closed=True) for former in given["former"])
    yield from (replace(s, title=f"{raw['title']}: {s.title}", closed=not raw["sitemaps"]) for s in SITEMAPS)


def _feed(name: str, raw: Mapping[str, Any]) -> Feed:
    rules, rest = _rules(raw)
    del rest["former"]
    formats = tuple(rest["formats"])
    only_films = replace(rules, films=set(formats) == {"roku"})
    size = rest["page_size"] if any(FORMATS[fmt].archived for fmt in formats) else 0
    told = {"rules": only_films, "formats": formats, "page_size": size, "description": rest["description"] or rest["title"]}
    return Feed(name=name, **{**rest, **told})


def _mirror(site: str, name: str, raw: Mapping[str, Any], public: str, base: Path, data: Path) -> Mirror:
    rules, rest = _rules(raw)
    target = rest["target"] or f"mirrors/{site}/{name}"
    return Mirror(
        name=name,
        rules=rules,
        **{
            **rest,
            "target": target if rest["backend"] == "http" else str((data / target).resolve()),
            "base_url": rest["base_url"] or f"{public}mirrors/{site}/{name}/",
            "token": config.secret(rest["token"], base) if "token" in rest else "",
        },
    )


def _network(name: str, raw: Mapping[str, Any]) -> Network:
    rules, rest = _rules(raw)
    return Network(name=name, rules=rules, **{**rest, "options": tuple(sorted(rest["options"].items()))})


_HUBS = ("hub_url", "hubs")
_APART = frozenset({"feeds", "mirrors", "networks", "indexnow", *_HUBS})  # what shapes no document of every outlet
_FILLED = frozenset({Kind.FEED, Kind.MIRROR})


def own_topics(settings: Settings) -> dict[str, str]:
    """URL → outlet key of every document that may be subscribed to at our hub: each format of each feed that is not closed."""
    return {
        f"{site.feeds_base}{feed.name}.{FORMATS[name].extension}": outlet_key(site.name, Kind.FEED, feed.name)
        for site in settings.sites
        for feed in site.feeds
        for name in feed.formats
        if not feed.closed and feed.folder == "feeds"
    }


def is_topic(settings: Settings, url: str) -> bool:
    """Whether the hub's policy lets this URL be a topic."""
    if settings.hub.policy == "open" or url in own_topics(settings):
        return True
    return settings.hub.policy == "allowlist" and urlsplit(url).netloc.lower() in settings.hub.topic_hosts


def outlet_rows(settings: Settings) -> list[dict[str, object]]:
    """One row for every configured outlet: key, site, kind, name, closed, a hash of all that shapes its documents, and one of its rules.

    Networks and IndexNow have none of these: what is older than their rules is no news there.
    """
    rows: list[dict[str, object]] = []
    for site in settings.sites:
        frame = {f.name: getattr(site, f.name) for f in fields(Site) if f.name not in _APART}
        shared = [asdict(mirror) | {"token": ""} for mirror in site.mirrors] + [asdict(feed) for feed in site.feeds]
        groups = ((Kind.FEED, site.feeds), (Kind.MIRROR, site.mirrors), (Kind.NETWORK, site.networks), (Kind.INDEXNOW, site.indexnow))
        for kind, outlets in groups:
            for outlet in outlets:
                hubs = [getattr(site, name) for name in _HUBS] if kind is Kind.FEED else []  # nothing else names them
                shape = [frame, asdict(outlet) | {"token": ""}, shared if kind is Kind.MIRROR else [], *hubs]
                shape = [] if kind is Kind.INDEXNOW else shape  # what was told is not told again for a new key
                sha = hashlib.sha256(json.dumps(shape, sort_keys=True, default=str).encode()).hexdigest()
                named = {"key": outlet_key(site.name, kind, outlet.name), "site": site.name, "kind": kind.value, "name": outlet.name}
                taking = json.dumps([asdict(outlet.rules), outlet.closed])
                rules_sha = hashlib.sha256(taking.encode()).hexdigest() if kind in _FILLED else ""
                rows.append({**named, "config_sha": sha, "rules_sha": rules_sha, "closed": outlet.closed})
    return rows
