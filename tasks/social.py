"""The task `social`: 20 s for a run, 25 s before its process is ended. Early ack: the ledger redelivers, bounded and counted."""

from __future__ import annotations

from pipeline.model.run import Step
from tasks.celery import step_task

social = step_task(Step.SOCIAL, soft=20, hard=25, gives_way=0.005)
