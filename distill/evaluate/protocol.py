"""What must be known of a measurement before its numbers mean anything: it is printed with them."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ..config import DistillConfig
from .accuracy import LETS_BE
from .arms import Arm

PACKAGES = ("r1chat", "llama-cpp-python", "math-verify", "numpy")


def protocol(config: DistillConfig, arms: dict[str, Arm]) -> dict[str, Any]:
    """Settings of the draws, how each model was served, what judged, and on what. `arms` go by their labels.

    Fields of a request that are not named here are off: no top-k, no min-p, no penalties, no system prompt.
    """
    settings = config.evaluate
    return {
        **settings.sampling,
        **LETS_BE,
        "k": settings.samples,
        "seeds": "of each problem its own, the same for each model",
        "concurrency": settings.concurrency,
        "problems_seed": config.evaluation_seed,
        "intervals": "95 %, over families" if settings.by_family else "95 %, over problems",
        "test": "sign-flip permutation, exact, two-sided",
        "templates": {label: arm.template for label, arm in arms.items()},
        "versions": {name: _version(name) for name in PACKAGES},
        "machine": {
            "cpus": os.cpu_count(),
            "system": platform.platform(terse=True),
            "python": platform.python_version(),
        },
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
