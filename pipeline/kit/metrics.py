"""Every metric in one place; `/metrics` shows them for all processes of one data folder.

Outlet keys and source names are the only labels: both come from the configuration, so their number is bounded.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:
    from collections.abc import Iterable

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_SLOW = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0)

webhooks = Counter("pressrun_webhooks_total", "Webhooks answered", ["source", "outcome"])
accept_seconds = Histogram("pressrun_accept_seconds", "From the last byte of a webhook to its answer", buckets=_FAST)
accept_group = Histogram("pressrun_accept_group_events", "Events in one commit", buckets=(1, 2, 4, 8, 16, 32, 64))
events = Counter("pressrun_events_total", "Events processed", ["source", "outcome"])
begin_wait = Histogram("pressrun_ledger_begin_wait_seconds", "Waiting for the ledger's write lock", buckets=_FAST)
deliveries = Counter("pressrun_deliveries_total", "Deliveries tried", ["outlet", "outcome"])
delivery_seconds = Histogram("pressrun_delivery_seconds", "From acceptance to held", ["outlet"], buckets=_SLOW)
run_seconds = Histogram("pressrun_run_seconds", "One run of a step", ["step"], buckets=_SLOW)
runs = Counter("pressrun_runs_total", "Runs of a step", ["step", "outcome"])
nudges = Counter("pressrun_nudges_total", "Nudges carried", ["step", "outcome"])
alerts = Counter("pressrun_alerts_total", "Things a person should look at", ["kind"])
open_deliveries = Gauge("pressrun_open_deliveries", "Deliveries that are not settled", ["outlet"], multiprocess_mode="mostrecent")
waiting_events = Gauge("pressrun_waiting_events", "Events not yet processed", ["source"], multiprocess_mode="mostrecent")

hub_requests = Counter("pressrun_hub_requests_total", "Requests of the hub to subscribers, publishers and other hubs", ["kind", "outcome"])
hub_asked = Counter("pressrun_hub_asked_total", "Requests to the hub answered", ["mode", "outcome"])
hub_seconds = Histogram("pressrun_hub_seconds", "From a topic's change to a subscriber that took it at the first try", buckets=_SLOW)
subscriptions = Gauge("pressrun_subscriptions", "Subscriptions at the hub", ["state"], multiprocess_mode="mostrecent")


def page() -> tuple[bytes, str]:
    """The exposition text and its media type, summed over processes where PROMETHEUS_MULTIPROC_DIR is set."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(), CONTENT_TYPE_LATEST
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST


def set_gauge(gauge: Gauge, rows: Iterable[tuple[str, int]]) -> None:
    """Set one labelled gauge from rows of (label, value)."""
    for label, value in rows:
        gauge.labels(label).set(value)
