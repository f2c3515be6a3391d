"""Celery: how stubbornly each step runs, on which queue, with what limits. What a step does is `pipeline`'s.

`celery -A tasks worker -Q validate,feeds,upkeep` finds the app in `tasks.celery`; nothing is imported before it is needed.
"""
