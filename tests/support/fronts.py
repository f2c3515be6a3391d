"""Servers that feeds are read from, each a real process on a port of its own: our app, and Caddy and nginx with the files in deploy/."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from tests.support.deploying import DEPLOY, ROOT, free_port, get, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MODULES = ("ngx_http_brotli_static_module.so", "ngx_http_headers_more_filter_module.so")
NGINX_FOLDER = "/usr/lib/nginx/modules"
MISSING = {
    "app": "",
    "caddy": "" if shutil.which("caddy") else "Caddy is not installed; `apt-get install caddy` brings it",
    "nginx": ""
    if shutil.which("nginx") and all(os.path.exists(f"{NGINX_FOLDER}/{name}") for name in MODULES)  # noqa: PTH110 - a path of Debian's
    else "nginx or a module of it is not installed; "
    "`apt-get install nginx libnginx-mod-http-brotli-static libnginx-mod-http-headers-more-filter` brings them",
}
"""Why a server cannot be had here; "" where it can."""


@dataclass(frozen=True, slots=True)
class Front:
    """A server that answers: its name, port, and public address as its configuration has it."""

    name: str
    port: int
    public_url: str

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """(status, headers in lower case, body); as it is unless Accept_Encoding says otherwise."""
        return get(self.port, path, method, **{"Accept_Encoding": "identity", **headers})


@contextmanager
def _process(command: Sequence[str], folder: Path, name: str, port: int, path: str, environment: dict[str, str]) -> Iterator[None]:
    log = folder / f"{name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(list(command), cwd=ROOT, env=environment, stdout=out, stderr=out, start_new_session=True)
    try:
        until(lambda: process.poll() is not None or get(port, path)[0] > 0, 60, lambda: log.read_text(errors="replace"))
        assert process.poll() is None, log.read_text(errors="replace")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _bare() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("PRESSRUN_", "CELERY_", "PROMETHEUS_", "COV"))}


@contextmanager
def app(folder: Path, config: Path, port: int, **secrets: str) -> Iterator[Front]:
    """One web process over that configuration, whose `port` and `public_url` are its business."""
    environment = {**_bare(), **secrets, "PRESSRUN_CONFIG": str(config), "PRESSRUN_PORT": str(port), "PYTHONUNBUFFERED": "1"}
    with _process([sys.executable, "-m", "pipeline.web"], folder, "app", port, "/healthz", environment):
        yield Front("app", port, f"http://127.0.0.1:{port}/")


@contextmanager
def caddy(folder: Path, origin: Path, mirrors: Path, web: int, public_url: str = "") -> Iterator[Front]:
    """Caddy with deploy/Caddyfile in front of these folders and of web at that port; its log and state lie in `folder`."""
    ports = {name: free_port() for name in ("CADDY_HTTP_PORT", "CADDY_HTTPS_PORT", "CADDY_HEALTH_PORT")}
    url = public_url or f"http://127.0.0.1:{web}/"
    environment = {
        **_bare(),
        **{name: str(port) for name, port in ports.items()},
        "ORIGIN": str(origin),
        "MIRRORS": str(mirrors),
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "WEB_HOST": "127.0.0.1",
        "WEB_PORT": str(web),
        "SITE_ADDRESS": "http://",
        "PUBLIC_URL": url,
    }
    command = ["caddy", "run", "--adapter", "caddyfile", "--config", str(DEPLOY / "Caddyfile")]
    with _process(command, folder, "caddy", ports["CADDY_HEALTH_PORT"], "/alive", environment):
        yield Front("caddy", ports["CADDY_HTTP_PORT"], url)


_MAIN = """
@MODULES@
daemon off;
pid @FOLDER@/nginx.pid;
error_log stderr warn;
worker_processes 1;
events { worker_connections 256; }
http {
    access_log off;
    keepalive_requests 1000000;
    client_body_temp_path @FOLDER@/t1; proxy_temp_path @FOLDER@/t2; fastcgi_temp_path @FOLDER@/t3;
    uwsgi_temp_path @FOLDER@/t4; scgi_temp_path @FOLDER@/t5;
    include @FOLDER@/pressrun.conf;
}
"""
"""What an installation of nginx has of its own around our file. Started by root its workers are another user, who must read the folders."""


def nginx_command(folder: Path, origin: Path, mirrors: Path, web: int, public_url: str, port: int) -> list[str]:
    """Write nginx's configuration into `folder`, our file with these values in it; the command that runs it."""
    ours = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    for pattern, value in (
        (r"(?<=pressrun_origin \{ default )\S+(?=; \})", str(origin)),
        (r"(?<=pressrun_mirrors \{ default )\S+(?=; \})", str(mirrors)),
        (r"(?<=pressrun_url \{ default )\S+(?=; \})", public_url),
        (r"(?<=server )127\.0\.0\.1:8400(?= max_fails)", f"127.0.0.1:{web}"),
        (r"(?m)(?<=^\tlisten )8080(?=;)", f"127.0.0.1:{port}"),
    ):
        ours, count = re.subn(pattern, value, ours)
        assert count == 1, f"deploy/nginx.conf has {pattern} {count} times"
    (folder / "pressrun.conf").write_text(ours)
    user = "user root;\n" if os.getuid() == 0 else ""
    modules = user + "\n".join(f"load_module {NGINX_FOLDER}/{name};" for name in MODULES)
    (folder / "nginx.conf").write_text(_MAIN.replace("@MODULES@", modules).replace("@FOLDER@", str(folder)))
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


@contextmanager
def nginx(folder: Path, origin: Path, mirrors: Path, web: int, public_url: str = "") -> Iterator[Front]:
    """The same with nginx and deploy/nginx.conf."""
    port, url = free_port(), public_url or f"http://127.0.0.1:{web}/"
    with _process(nginx_command(folder, origin, mirrors, web, url, port), folder, "nginx", port, "/metrics", _bare()):
        yield Front("nginx", port, url)


class _Web(BaseHTTPRequestHandler):
    """Stands for the web process: says which path it was asked for."""

    def do_GET(self) -> None:
        """Answer."""
        body = f"web {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - http.server names it

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def stand_in() -> Iterator[int]:
    """The port of something that stands for the web process and says `web <path>` to everything."""
    web = ThreadingHTTPServer(("127.0.0.1", 0), _Web)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    try:
        yield web.server_port
    finally:
        web.shutdown()
        web.server_close()


def furnish(folder: Path) -> None:
    """An origin and a mirror below a folder: a feed that is still, one that is not, a page, and one that is gone."""
    folder.chmod(0o755)
    feeds, page, gone = (folder / name for name in ("origin/demo/feeds", "mirrors/demo/one/a-harbour-abc", "mirrors/demo/one/gone-def"))
    for made in (feeds, page, gone):
        made.mkdir(parents=True)
    for name in ("all.rss", "all.atom", "all.json"):
        for suffix in ("", ".gz", ".br"):
            (feeds / (name + suffix)).write_text(f"{name}{suffix} at rest")
    (feeds / "world.rss").write_text("world.rss, no twin yet")
    (page.parent / "feeds").mkdir()
    for name in ("all.rss", "all-2026-10-1.rss", "all.ninjs.json", "all.roku.xml"):
        (page.parent / "feeds" / name).write_text(f"{name} of the mirror")
    (folder / "origin/.fence-demo_feed_all").write_text("7")
    (feeds / ".tmp-1.rss").write_text("half")
    (page / "index.html").write_text("<p>A harbour")
    (gone / "index.html").write_text("<p>Withdrawn")
    (gone / ".gone").write_text("")


def look_at_what_stands(front: Front) -> None:
    """Nobody is behind this server: what is still is as always, another feed as it stands and kept by nobody, the rest 502."""
    still = front.get("/demo/feeds/all.rss")
    assert (still[0], still[2], front.get("/demo/feeds/all.rss", If_None_Match=still[1]["etag"])[0]) == (200, b"all.rss at rest", 304)
    date = {"If_Modified_Since": still[1]["last-modified"]}
    for path, asked in (("/demo/feeds/world.rss", {}), ("/demo/feeds/world.rss", {"If_None_Match": "*"}), ("/demo/feeds/all.rss", date)):
        status, headers, body = front.get(path, **asked)
        assert (status, headers["content-type"], headers["cache-control"]) == (200, "application/rss+xml; charset=utf-8", "no-cache")
        assert body in {b"world.rss, no twin yet", b"all.rss at rest"}
        assert not {"etag", "last-modified"} & headers.keys()
        assert headers["access-control-allow-origin"] == "*"
    for path in ("/demo/feeds/none.rss", "/healthz", "/demo/feeds/.tmp-1.rss", "/demo/feeds/all.rss.gz"):
        assert front.get(path)[0] in {502, 503}, path
