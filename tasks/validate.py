"""The task `validate`: 5 s for a run, 8 s before its process is ended. Early ack: the ledger redelivers, bounded and counted."""

from __future__ import annotations

from pipeline.model.run import Step
from tasks.celery import step_task

validate = step_task(Step.VALIDATE, soft=5, hard=8)
