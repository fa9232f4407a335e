"""Settings of the stage that collects traces."""

from __future__ import annotations

from dataclasses import dataclass

from ..rows import Teacher


@dataclass(frozen=True)
class GenerateConfig:
    """`traces` and `problems` are specs of sources (see distill.sources); `teacher` a /v1 URL, a model's name, or a
    GGUF's path; `known_teacher` says who that is, where the file's name does not.

    `k` samples are drawn of each of at most `max_problems` problems; ready traces are taken up to
    `max_trace_tokens` tokens in all (None: no cap).
    """

    problems: tuple[str, ...] = ()
    traces: tuple[str, ...] = ()
    teacher: str | None = None
    teacher_model: str | None = None
    known_teacher: Teacher | None = None
    k: int = 4
    max_problems: int | None = None
    max_trace_tokens: int | None = None
    concurrency: int = 16
    temperature: float = 0.6
    top_p: float = 0.95
    max_tokens: int = 8192
