"""Settings of the stage that brings the base."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BaseConfig:
    """`minutes` is how long a base made here is trained; one from elsewhere is taken as it is."""

    minutes: float = 6.0
