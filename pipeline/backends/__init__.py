"""What stores documents: one file a kind, which gives it its name and holds a function `open_target`.

Adding a backend is adding its file; `kinds()` finds it. All of them pass the same contract tests.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from pipeline.backends.contract import Backend, Mounted, Stat, Sweeping, Target
from pipeline.model.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.kit.http import Http

__all__ = ["Backend", "Mounted", "Stat", "Sweeping", "Target", "kinds", "open_backend"]


def kinds() -> tuple[str, ...]:
    """The names of all backends, as `backend` may have them in the configuration."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name != "contract"))


def open_backend(
    kind: str,
    *,
    root_or_url: Path | str,
    http: Http | None = None,
    token_header: str = "Authorization",  # noqa: S107  # a header's name
    token: str = "",
    fence_name: str = "",
) -> Backend:
    """The backend of that kind at that place; nothing is opened or made before the first call.

    root_or_url  folder (local), URL that paths are put below (http), any name (memory: equal names share one store)
    fence_name   the outlet key: several outlets may write below one root, each with its own fence

    Raises ConfigError for an unknown kind or a place it cannot use.
    """
    if kind not in kinds():
        message = f"There is no backend “{kind}”; known are {', '.join(kinds())}."
        raise ConfigError(message)
    module = importlib.import_module(f"{__name__}.{kind}")
    target = Target(str(root_or_url), http, token_header, token, fence_name)
    opened: Backend = module.open_target(target)
    return opened
