"""The Celery app of the floors: the press run's own settings and transport, a queue of its own, a task that does nothing.

`BENCH_BROKER` is the broker's URL, `BENCH_FOLDER` where the naive pipeline keeps what it makes.
"""

from __future__ import annotations

import os
from pathlib import Path

from celery import Celery
from kombu import Queue

from benchmarks import naive
from tasks.celery import SETTINGS
from tasks.transport import transport_url

QUEUE = "floor"
NOOP, MARK, PUBLISH, FEED, PAGE, SHARE = "floor.noop", "floor.mark", "naive.publish", "naive.feed", "naive.page", "naive.share"

app = Celery("floor", set_as_current=False)


@app.on_configure.connect
def _configure(sender: Celery, **_: object) -> None:
    sender.conf.update(
        {
            **SETTINGS,
            "broker_url": transport_url(os.environ["BENCH_BROKER"]),
            "imports": [],
            "task_queues": [Queue(QUEUE)],
            "task_default_queue": QUEUE,
            "task_routes": {},
            "broker_transport_options": {
                **SETTINGS["broker_transport_options"],
                "task_names": (NOOP, MARK, PUBLISH, FEED, PAGE, SHARE),
            },
        },
    )


def _folder() -> Path:
    return Path(os.environ["BENCH_FOLDER"])


@app.task(name=NOOP)
def noop() -> None:
    """Nothing."""


@app.task(name=MARK)
def mark(name: str) -> None:
    """Leave a file: everything sent before it was taken from the queue before it."""
    (_folder() / name).touch()


@app.task(name=PUBLISH)
def publish(event: int) -> None:
    """Validate one event, store its article, send a task for every output."""
    article, outputs = naive.publish(_folder(), event)
    for kind, name in outputs:
        app.send_task({"feed": FEED, "page": PAGE, "share": SHARE}[kind], args=[article, name], queue=QUEUE)


@app.task(name=FEED)
def feed(article: int, name: str) -> None:
    """Rebuild one format of one feed."""
    naive.feed(_folder(), article, name)


@app.task(name=PAGE)
def page(article: int, mirror: str) -> None:
    """Render the article's page for one mirror."""
    naive.page(_folder(), article, mirror)


@app.task(name=SHARE)
def share(article: int, network: str) -> None:
    """Compose one network's payload."""
    naive.share(_folder(), article, network)
