"""The Celery app: settings that were measured together, one queue a step.

A message is a nudge and the ledger is the truth, so everything here prefers a lost or doubled message to a stuck
worker: early ack, no results, no ETA, no beat. Retries live in the ledger.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from celery import Celery, signals
from celery.apps import worker as celery_worker
from celery.exceptions import SoftTimeLimitExceeded
from kombu import Queue

from pipeline.kit import limits, log, memory, metrics
from pipeline.kit.clock import rfc3339
from pipeline.model.errors import PressrunError
from pipeline.model.run import Step
from tasks import going_on, pool, ticker
from tasks.carry import carry
from tasks.room import broker_url, room
from tasks.transport import AMQP, transport_url

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.context import Context
    from pipeline.model.run import Nudge, Run

_resting = memory.Resting()
limits.ends_runs(SoftTimeLimitExceeded)
app = Celery("pressrun", amqp=AMQP, set_as_current=True)
app.steps["consumer"].update({ticker.Ticker, pool.HearsFirst})

SETTINGS: dict[str, Any] = {
    "result_backend": None,
    "task_ignore_result": True,
    "accept_content": ["json"],
    "result_accept_content": ["json"],
    "task_serializer": "json",
    "event_serializer": "json",
    "task_acks_late": False,
    "task_reject_on_worker_lost": False,
    "task_soft_time_limit": 20,
    "task_time_limit": 25,
    "task_publish_retry": False,
    "task_create_missing_queues": False,
    "task_queues": [Queue(step.value) for step in Step],
    "task_default_queue": Step.UPKEEP.value,
    "task_routes": {step.value: {"queue": step.value} for step in Step},
    "imports": [f"tasks.{step.value}" for step in Step],
    "worker_prefetch_multiplier": 1,
    "worker_disable_prefetch": True,
    "worker_eta_task_limit": 1000,
    "worker_max_tasks_per_child": 20_000,
    "worker_max_memory_per_child": 300_000,
    "worker_proc_alive_timeout": 10,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_soft_shutdown_timeout": 0,
    "worker_send_task_events": True,
    "task_send_sent_event": False,  # a broadcast for each nudge was half of what a nudge costs; workers tell of the rest
    "worker_enable_remote_control": True,
    "worker_hijack_root_logger": False,
    "broker_connection_retry": True,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_channel_error_retry": True,
    "broker_pool_limit": 10,
    "broker_transport_options": {
        "task_names": tuple(step.value for step in Step),
        "visibility_timeout": 120,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "socket_timeout": 2,
        "socket_connect_timeout": 3,
        "socket_keepalive": True,
        "health_check_interval": 2,
    },
}


@app.on_configure.connect
def configure(sender: Celery, **_: object) -> None:
    """Read the configuration only when somebody needs the app: importing it must not ask for a broker."""
    sender.conf.update({**SETTINGS, "broker_url": transport_url(broker_url())})


@signals.celeryd_init.connect
def _speak_json(**_: object) -> None:
    """Before the worker's first warning, which comes before its logging is set up."""
    log.configure()
    celery_worker.safe_say = _say  # type: ignore[attr-defined] # the stubs leave it out


def _say(msg: str, _file: object = None) -> None:
    """What Celery says past every logger, as a line like the others; it is said in signal handlers, so by a single write."""
    line = {"event": msg.strip(), "level": "info", "timestamp": rfc3339(datetime.now(UTC))}
    with contextlib.suppress(OSError, ValueError):
        os.write(sys.stderr.fileno(), json.dumps(line).encode() + b"\n")


@signals.setup_logging.connect
def _logs(**_: object) -> None:
    log.configure()


@signals.celeryd_after_setup.connect
def _preload(instance: Any, **_: object) -> None:
    """Import the steps of this worker's queues before the pool forks, and nothing else; children share those pages.

    What the collector never looks at again stays shared: it would write to every object's head otherwise.
    """
    steps = [Step(queue) for queue in instance.app.amqp.queues.consume_from if queue in tuple(Step)]
    for step in steps:
        _step(step)
    going_on.takes(steps, int(getattr(instance, "concurrency", 0) or 0))
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)  # a page or a feed is thousands of short-lived objects, none of them in a ring


def _step(step: Step) -> Callable[[Context, Sequence[str]], Run]:
    run: Callable[[Context, Sequence[str]], Run] = importlib.import_module(f"pipeline.{step.value}").run
    return run


def step_task(step: Step, *, soft: int, hard: int, gives_way: float = 0.0) -> Any:
    """Register the step `pipeline.<name>` under its own name: run it here, then carry its nudges on. Limits in seconds.

    gives_way  seconds it waits first: for what others wait for more, and for what else may come
    """

    @app.task(name=step.value, soft_time_limit=soft, time_limit=hard, max_retries=0, ignore_result=True)
    def task(keys: Sequence[str] = ()) -> None:
        time.sleep(gives_way)
        began = time.monotonic()
        nudges = _run(step, _keys(keys))
        if step is Step.VALIDATE:
            going_on.go_on(nudges, _run, began)
        else:
            carry(nudges)
        if step is not Step.UPKEEP:  # which never rests
            _resting.worked()

    return task


def _run(step: Step, keys: Sequence[str]) -> Sequence[Nudge]:
    """One measured run of a step; the nudges it leads to. A run that could not go on leads to none: upkeep nudges again."""
    began = time.monotonic()
    outcome = "done"
    try:
        return _step(step)(room(), keys).nudges
    except PressrunError as error:
        # The rows are as they were. A traceback would say nothing more.
        outcome = type(error).__name__
        room().log.warning("run ended early", step=step.value, keys=list(keys), outcome=str(error))
        return ()
    except Exception:
        outcome = "crashed"
        raise
    finally:
        metrics.runs.labels(step.value, outcome).inc()
        metrics.run_seconds.labels(step.value).observe(time.monotonic() - began)


def _keys(given: object) -> tuple[str, ...]:
    """Arguments come from a queue anybody with its password can write to: anything but a list of texts is nothing."""
    return tuple(key for key in given if isinstance(key, str) and len(key) < 200) if isinstance(given, list) else ()  # noqa: PLR2004
