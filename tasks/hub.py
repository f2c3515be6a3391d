"""The task `hub`: each request has its own deadline and thread, so a run takes a second; the limits are for what nobody thought of."""

from __future__ import annotations

from pipeline.model.run import Step
from tasks.celery import step_task

hub = step_task(Step.HUB, soft=20, hard=25)
