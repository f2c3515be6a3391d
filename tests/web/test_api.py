"""The operator's API, health, and the OpenAPI document."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from sqlalchemy import text
from starlette.routing import Route
from starlette.testclient import TestClient

from pipeline import validate
from pipeline.cli.start import first_token
from pipeline.ledger import tables
from pipeline.rules import schema
from pipeline.web import openapi
from pipeline.web.app import ROUTES, make_app
from tests.conftest import CONFIG, article, settings_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Newsroom

GUARDED = ["/api/v1/articles", "/api/v1/articles/a-1", "/api/v1/outlets", "/api/v1/deliveries", "/api/v1/rejections"]


@pytest.fixture
def client(small_newsroom: Newsroom) -> Iterator[TestClient]:
    """A client of the app."""
    with TestClient(make_app(small_newsroom.context, lambda _n: None)) as made:
        yield made


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize("token", ["", "Bearer", "Bearer wrong", "Basic d3Jvbmc=", "Bearer \u00e9"])
def test_without_the_token_there_is_only_401(client: TestClient, small_newsroom: Newsroom, path: str, token: str) -> None:
    """Every route below /api."""
    first_token(small_newsroom.context)
    answer = client.get(path, headers={b"authorization": token.encode()})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_the_first_token_is_shown_once_and_kept_as_a_hash(client: TestClient, small_newsroom: Newsroom) -> None:
    """It opens the API; the ledger does not hold it."""
    token = first_token(small_newsroom.context)
    assert first_token(small_newsroom.context) == ""
    assert client.get("/api/v1/outlets", headers={"authorization": f"Bearer {token}"}).status_code == 200
    with small_newsroom.context.ledger.read() as tx:
        from sqlalchemy import select

        assert token not in str(tx.all(select(tables.tokens)))


def test_the_api_says_where_things_are(client: TestClient, small_newsroom: Newsroom) -> None:
    """Articles with their outlets, what is open, what was refused."""
    token = {"authorization": f"Bearer {first_token(small_newsroom.context)}"}
    small_newsroom.send("published", article())
    small_newsroom.send("published", {"id": "bad"})
    small_newsroom.drain()
    found = client.get("/api/v1/articles/a-1", headers=token).json()["articles"][0]
    assert {o["state"] for o in found["outlets"]} == {"settled"}
    assert set(found["outlets"][0]) == {"outlet", "state", "url", "seconds", "attempts", "reason"}
    assert client.get("/api/v1/articles?limit=1", headers=token).json()["articles"][0]["id"] == "a-1"
    assert client.get("/api/v1/deliveries", headers=token).json() == {"deliveries": []}
    assert client.get("/api/v1/rejections", headers=token).json()["rejections"][0]["problems"]
    assert len(client.get("/api/v1/outlets", headers=token).json()["outlets"]) == 7
    assert client.get("/api/v1/articles/none", headers=token).status_code == 404


def test_an_address_is_the_one_of_the_configuration_now(small_newsroom: Newsroom) -> None:
    """Of a newsroom that has a public address since: at every place that tells one."""
    token = {"authorization": f"Bearer {first_token(small_newsroom.context)}"}
    event = small_newsroom.send("published", article())
    small_newsroom.drain()
    config = CONFIG.replace("port = 8499", 'port = 8499\npublic_url = "https://news.test/"')
    moved = settings_in(small_newsroom.context.settings.data, config)
    with TestClient(make_app(replace(small_newsroom.context, settings=moved), lambda _n: None)) as client:
        for place in ("api/v1/articles", "api/v1/articles/a-1", f"events/{event}"):
            told = client.get(f"/{place}", headers=token).json()
            outlets = (told.get("articles") or [told.get("article")])[0]["outlets"]
            assert len(outlets) == 7
            assert all(o["url"].startswith("https://news.test/") for o in outlets), place


def test_an_outlet_that_is_left_alone_says_why(client: TestClient, small_newsroom: Newsroom) -> None:
    """In the words of the status, of the outlet and of what is pending there; one that works gives no reason."""
    token = {"authorization": f"Bearer {first_token(small_newsroom.context)}"}
    small_newsroom.send("published", article())
    validate.run(small_newsroom.context, ["newsroom"])
    until = small_newsroom.clock.now() + timedelta(seconds=30)
    with small_newsroom.context.ledger.write() as tx:
        values = {"circuit_failures": 5, "circuit_until": until}
        tx.run(tables.outlets.update().where(tables.outlets.c.key == "demo/mirror:one").values(**values))
    why = "The outlet failed 5 times in a row; it is left alone until 2026-11-23T08:00:30Z, then tried again."
    told = client.get("/api/v1/outlets", headers=token).json()["outlets"]
    assert {o["outlet"]: o["reason"] for o in told if o["reason"]} == {"demo/mirror:one": why}
    pending = client.get("/api/v1/deliveries?outlet=demo/mirror:one", headers=token).json()["deliveries"]
    assert [(d["state"], d["reason"]) for d in pending] == [("pending", why)]
    small_newsroom.clock.move(31)
    assert "it is being tried again." in client.get("/api/v1/outlets", headers=token).text
    small_newsroom.drain()
    assert not [o for o in client.get("/api/v1/outlets", headers=token).json()["outlets"] if o["reason"]]


MISTAKEN = {
    "deliveries?state=bogus": "state is one of waiting, pending, posting, retrying, failed, unknown, paused.",
    "deliveries?state=settled": "state is one of waiting",
    "deliveries?state=": "state is one of waiting",
    "deliveries?outlet=demo/feed:none": "outlet is one of demo/feed:all, demo/feed:news-sitemap, demo/feed:sitemap, ",
    "deliveries?stat=failed": "There is no parameter “stat” here; there is outlet, state, limit.",
    "deliveries?limit=x": "limit is a whole number from 1 to 200",
    "articles?limit=0": "limit is a whole number from 1 to 200",
    "articles?limit=201": "limit is a whole number from 1 to 200",
    "rejections?limit=-1": "limit is a whole number from 1 to 200",
    "rejections?limit=5&limit=6": "Give each parameter once.",
    "articles/a-1?site=other": "site is one of demo.",
    "outlets?limit=5": "There is no parameter “limit” here; there is none.",
}


@pytest.mark.parametrize("asked", MISTAKEN)
def test_a_parameter_that_is_not_understood_is_400_with_what_is(client: TestClient, small_newsroom: Newsroom, asked: str) -> None:
    """Overlooked, it would be an answer to another question: “nothing failed”."""
    token = {"authorization": f"Bearer {first_token(small_newsroom.context)}"}
    answer = client.get(f"/api/v1/{asked}", headers=token)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"].startswith(MISTAKEN[asked])
    assert client.get(f"/api/v1/{asked}").status_code == 401


def test_deliveries_are_found_by_what_they_are_shown_as(client: TestClient, small_newsroom: Newsroom) -> None:
    """Those of a paused outlet are paused, here as in the status."""
    token = {"authorization": f"Bearer {first_token(small_newsroom.context)}"}
    small_newsroom.send("published", article())
    validate.run(small_newsroom.context, ["newsroom"])
    with small_newsroom.context.ledger.write() as tx:
        tx.run(text("UPDATE outlets SET paused = true WHERE key = 'demo/mirror:one'"))
    for state, expected in (("paused", ["demo/mirror:one"]), ("failed", []), ("pending", ["demo/feed:all", "demo/feed:news-sitemap"])):
        found = client.get(f"/api/v1/deliveries?state={state}&limit=2", headers=token).json()["deliveries"]
        assert [(d["outlet"], d["state"]) for d in found] == [(outlet, state) for outlet in expected]


def test_the_docs_page_says_which_addresses_ask_for_the_token(client: TestClient) -> None:
    """In the same row; a webhook asks for a signature."""
    rows = {row.split("<code>")[2].split("<")[0]: row for row in client.get("/docs").text.split("<tr>")[2:]}
    asking = {path for path, row in rows.items() if "<td>Token</td>" in row}
    assert asking == {path for path in rows if path.startswith("/api/")}
    assert "<td>Signature</td>" in rows["/webhooks/{source}"]


def test_ready_says_when_no_worker_was_seen(client: TestClient, small_newsroom: Newsroom) -> None:
    """Alive all the same; ready once upkeep has run; not any more 15 s after the last time."""
    assert client.get("/healthz").status_code == 200
    for _ in range(100):
        if "worker" in client.get("/readyz").text:
            break
    assert "no worker since" in client.get("/readyz").json()["detail"]
    small_newsroom.drain()
    assert client.get("/readyz").status_code == 200
    small_newsroom.clock.move(16)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["retry-after"]


def test_metrics_count_what_happened(client: TestClient, small_newsroom: Newsroom) -> None:
    """Prometheus exposition."""
    small_newsroom.send("published", article())
    small_newsroom.drain()
    text = client.get("/metrics").text
    assert 'pressrun_deliveries_total{outcome="settled",outlet="demo/feed:all"}' in text


def test_the_openapi_document_is_valid_and_names_every_route(client: TestClient) -> None:
    """Built from the schemas; nothing served is missing from it."""
    document = client.get("/openapi.json").json()
    OpenAPIV31SpecValidator(document).validate()
    served = {route.path.replace(":path", "") for route in ROUTES if isinstance(route, Route)}
    assert served == set(document["paths"])
    assert "Article" in document["components"]["schemas"]
    assert "http" not in json.dumps(list(_references(document)))
    assert set(schema.documents()) - {"config.v1.json"} == {f"{n}.v1.json".lower() for n in document["components"]["schemas"]} - {
        "problem.v1.json",
        "accepted.v1.json",
    }
    assert "/webhooks/{source}" in client.get("/docs").text
    assert openapi.document() is openapi.document()


def _references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "$ref":
                yield item
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)
