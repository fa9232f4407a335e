"""Within what bounds a conversation's settings lie: those of /v1/chat/completions, so that it never refuses them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ...serve.errors import InvalidRequestError
from .records import Settings

MAX_SYSTEM = 100_000
MAX_NAME = 200


@dataclass(frozen=True)
class Limit:
    """`step` is what a field moves by; `whole` numbers only."""

    low: float
    high: float
    step: float
    whole: bool = False


LIMITS = {
    "temperature": Limit(0, 2, 0.05),
    "top_p": Limit(0, 1, 0.01),
    "top_k": Limit(0, 2**31 - 1, 1, whole=True),
    "min_p": Limit(0, 1, 0.01),
    "repetition_penalty": Limit(0.01, 10, 0.05),
    # The wire takes 64 bits; JavaScript holds 53 of them.
    "seed": Limit(0, 2**53 - 1, 1, whole=True),
    "max_tokens": Limit(1, 2**31 - 1, 1, whole=True),
    "budget": Limit(0, 2**31 - 1, 1, whole=True),
}


def limits() -> dict[str, dict[str, Any]]:
    """The table as JSON: name -> {low, high, step, whole}."""
    return {name: asdict(limit) for name, limit in LIMITS.items()}


def check_settings(settings: Settings, where: str = "Settings") -> Settings:
    """The same settings. Raises InvalidRequestError, whose text begins with `where`, for what is out of bounds."""
    for name, limit in LIMITS.items():
        value = getattr(settings, name)
        # Said this way round, nan is refused, too.
        if value is not None and not limit.low <= value <= limit.high:
            raise InvalidRequestError(f"{where}: {name} must be from {limit.low:g} to {limit.high:.16g}.", name)
    if len(settings.system) > MAX_SYSTEM:
        raise InvalidRequestError(f"{where}: the system prompt is longer than {MAX_SYSTEM} characters.", "system")
    if max(len(settings.model), len(settings.preset)) > MAX_NAME:
        raise InvalidRequestError(f"{where}: a name is longer than {MAX_NAME} characters.", "model")
    return settings
