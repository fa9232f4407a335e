"""Settings of the stage that makes GGUFs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ExportConfig:
    """`quants`: the first is the one that is registered. `adapter` keeps a LoRA apart instead of merging it. Without
    `base` there is no GGUF of the base, and without `register` the student is in no list of models: so it is with the
    steps of a recipe.
    """

    quants: tuple[str, ...] = ("Q8_0", "F16", "Q4_K_M")
    adapter: bool = False
    base: bool = True
    register: bool = True
