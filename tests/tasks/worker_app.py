"""The smallest Celery app on the hardened transport, for the tests that need a real worker process.

`PROBE_BROKER` is the broker's URL; `PROBE_STOCK` set leaves kombu's own transport and Celery's own limits in place;
`PROBE_LATE` set acknowledges a message after its task and not before; `PROBE_DEAF` names a folder: once there is a file
`deaf` in it the main process does nothing until there is a file `hears`, and tasks have a soft limit of one second.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from celery import Celery, bootsteps

from tasks.pool import HearsFirst
from tasks.transport import transport_url

QUEUE = "probe"
NAMES = ("probe.mark", "probe.hold")

_url = os.environ["PROBE_BROKER"]
app = Celery("probe", broker=_url if "PROBE_STOCK" in os.environ else transport_url(_url), set_as_current=False)
app.conf.update(
    result_backend=None,
    task_ignore_result=True,
    accept_content=["json"],
    task_serializer="json",
    event_serializer="json",
    task_default_queue=QUEUE,
    task_acks_late="PROBE_LATE" in os.environ,
    task_reject_on_worker_lost=False,
    task_soft_time_limit=1 if "PROBE_DEAF" in os.environ else 25,
    task_time_limit=30,
    task_publish_retry=False,
    worker_prefetch_multiplier=1,
    worker_disable_prefetch=True,
    worker_proc_alive_timeout=10,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_send_task_events=True,
    task_send_sent_event=True,
    worker_enable_remote_control=True,
    broker_connection_retry=True,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_channel_error_retry=True,
    broker_transport_options={
        "visibility_timeout": 120,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "socket_timeout": 2,
        "socket_connect_timeout": 3,
        "socket_keepalive": True,
        "health_check_interval": 2,
        "task_names": NAMES,
    },
)


class Deaf(bootsteps.StartStopStep):
    """Keeps the worker's main process from its loop, as a broker does that does not answer."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, parent: Any) -> None:
        """Look for the file ten times a second."""
        self.asked = False
        parent.timer.call_repeatedly(0.1, self.wait)

    def wait(self) -> None:
        """Until it hears again; from the second look on, so that what was said before the file came is read."""
        folder = Path(os.environ["PROBE_DEAF"])
        while self.asked and not (folder / "hears").exists():
            (folder / "is deaf").touch()
            time.sleep(0.01)
        self.asked = (folder / "deaf").exists()


if "PROBE_STOCK" not in os.environ:
    app.steps["consumer"].add(HearsFirst)
if "PROBE_DEAF" in os.environ:
    app.steps["consumer"].add(Deaf)


@app.task(name="probe.mark")
def mark(path: str) -> None:
    """Leave a file behind."""
    Path(path).touch()


@app.task(name="probe.hold")
def hold(started: str, until: str) -> None:
    """Say that it runs, then keep a slot busy until a file is there."""
    Path(started).touch()
    while not Path(until).exists():
        time.sleep(0.01)
